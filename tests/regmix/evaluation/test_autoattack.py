import contextlib
import sys

import pytest
import torch
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from torch import nn

import regmix.evaluation.autoattack as door
from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.autoattack import NearestFirst, apgd, autoattack, nearest, square
from regmix.evaluation.final_evaluation import evaluate_test
from regmix.evaluation.results import apgd_name


def settings(epsilon):
    return AttackSettings(epsilon, seed=0, batch_size=50)


def ce(model, images, labels, *, epsilon):
    return apgd(model, images, labels, settings(epsilon), steps=20)


def targeted(model, images, labels, *, epsilon, targets=3):
    return apgd(model, images, labels, settings(epsilon), steps=20, targets=targets)


def asking(model, images, labels, *, epsilon):
    return square(model, images, labels, settings(epsilon), queries=300)


def whole(model, images, labels, *, epsilon):
    return autoattack(model, images, labels, settings(epsilon))


@contextlib.contextmanager
def traced():
    """Set a trace function, as a debugger does, and in the end the one from before."""

    def trace(*_):
        return None

    outer = sys.gettrace()
    sys.settrace(trace)
    try:
        yield trace
    finally:
        sys.settrace(outer)


EVERY = pytest.mark.parametrize("attack", [ce, targeted, asking, whole])


@pytest.fixture(scope="module")
def bent():
    """A network of four classes on 40 images, all of which are right."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 4)).eval()
    for weight in model.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
    images = torch.rand(40, 1, 4, 4, generator=generator)
    return model, images, model(images).argmax(1)


def test_on_two_linear_classes_cross_entropy_finds_the_closed_form(linear):
    model, images, labels, worst_margin = linear
    survived = ce(model, images, labels, epsilon=0.05)
    assert torch.equal(survived, worst_margin(0.05) > 0)
    assert 0 < survived.sum() < 400


def test_square_comes_close_to_the_closed_form_and_never_beyond(linear):
    model, images, labels, worst_margin = linear
    fooled = ~asking(model, images[:100], labels[:100], epsilon=0.05)
    possible = worst_margin(0.05)[:100] < 0
    assert not (fooled & ~possible).any()
    missed = possible & ~fooled
    assert missed.sum() <= 0.4 * possible.sum()
    assert fooled.sum() > (worst_margin(0)[:100] < 0).sum() + 10  # more than were wrong anyway


def test_the_whole_ensemble_finds_the_closed_form_and_keeps_the_trace_function(linear):
    model, images, labels, worst_margin = linear
    with traced() as trace:
        survived = whole(model, images[:8], labels[:8], epsilon=0.05)
        assert sys.gettrace() is trace
    assert torch.equal(survived, worst_margin(0.05)[:8] > 0)
    assert 0 < survived.sum() < 8


@pytest.mark.parametrize("epsilon", [0.005, 0.015])
def test_on_four_linear_classes_targets_find_the_closed_form(flat, epsilon):
    model, images, labels, radius = flat
    survived = targeted(model, images, labels, epsilon=epsilon)
    assert torch.equal(survived, radius > epsilon)
    assert 0 < survived.sum() < 40


@pytest.mark.parametrize("epsilon", [0.005, 0.01, 0.015])
def test_on_linear_classes_the_first_target_is_all_that_is_needed(flat, epsilon):
    """The nearest boundary is exact there; the likeliest class is not always beyond it."""
    model, images, labels, radius = flat
    found = targeted(model, images, labels, epsilon=epsilon, targets=1)
    assert torch.equal(found, radius > epsilon)
    order, logits = nearest(model, images, labels), model(images)
    assert (order[:, 0] != logits.argsort(1)[:, -2]).any()


def test_targets_come_by_the_distance_of_their_linear_boundaries(flat):
    model, images, labels, _ = flat
    weight, logits = model[1].weight, model(images)
    lengths = (weight[labels][:, None] - weight[None]).abs().sum(2)
    distances = (logits.gather(1, labels[:, None]) - logits) / lengths
    distances = distances.scatter(1, labels[:, None], torch.inf)
    assert torch.equal(nearest(model, images, labels), distances.argsort(1)[:, :3])


def test_of_many_classes_the_nine_likeliest_are_put_in_order():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 40)).eval()
    model[1].weight.data = torch.randn(40, 16, generator=generator)
    images = torch.rand(5, 1, 4, 4, generator=generator)
    labels = torch.arange(5)
    likeliest = model(images).scatter(1, labels[:, None], -torch.inf).topk(9).indices
    assert torch.equal(nearest(model, images, labels).sort().values, likeliest.sort().values)


def test_an_order_of_targets_is_what_the_library_would_attack_beside_its_own(bent):
    """With all targets both find the same here, whatever the order, from the same starts."""
    model, images, labels = bent
    theirs = APGDAttack_targeted(
        model, n_iter=50, n_target_classes=3, eps=0.05, seed=0, device="cpu"
    )
    with torch.random.fork_rng(devices=[]):
        worst = theirs.perturb(images, labels)
    ours = apgd(model, images, labels, settings(0.05), steps=50, targets=3)
    assert torch.equal(ours, model(worst).argmax(1) == labels)
    assert 0 < ours.sum() < len(ours)


def test_more_targets_than_other_classes_are_all_of_them(bent, monkeypatch):
    given = []

    class Noted(NearestFirst):
        def __init__(self, *args, n_target_classes, **how):
            given.append(n_target_classes)
            super().__init__(*args, n_target_classes=n_target_classes, **how)

    monkeypatch.setattr(door, "NearestFirst", Noted)
    answers = [targeted(*bent, epsilon=0.05, targets=n) for n in (2, 3, 9)]
    assert given == [2, 3, 3]
    assert torch.equal(answers[1], answers[2])


@pytest.mark.parametrize("classes", [2, 3])
def test_with_fewer_than_four_classes_targets_spare_everyone(flat, classes):
    _, images, _, _ = flat
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, classes)).eval()
    labels = (model(images).argmax(1) + 1) % classes  # wrong already: even these
    assert targeted(model, images, labels, epsilon=0.3).all()
    assert not ce(model, images, labels, epsilon=0.3).any()


@pytest.mark.parametrize(
    ("classes", "apgd_said", "whole_said"),
    [
        (2, "APGD-20", "APGD-CE, FAB and Square"),
        (3, "APGD-20", "APGD-CE, FAB and Square"),
        (4, "APGD-20, 3 targets", "AutoAttack"),
        (10, "APGD-20, 3 targets", "AutoAttack"),
    ],
)
def test_a_name_says_only_what_ran(flat, classes, apgd_said, whole_said):
    _, images, _, _ = flat
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, classes)).eval()
    labels = (model(images).argmax(1) + (classes > 2)) % classes  # many classes: nobody is attacked
    rows = dict(evaluate_test(model, images[:4], labels[:4], settings(0.01), with_autoattack=True))
    assert list(rows)[-3:] == [apgd_said, whole_said, "worst case"]
    assert rows["worst case"].hits <= rows[whole_said].hits <= rows["clean"].hits


@pytest.mark.parametrize(("classes", "said"), [(2, ""), (4, ", 3 targets"), (10, ", 9 targets")])
def test_targets_are_never_more_than_wrong_classes(classes, said):
    assert apgd_name(100, 9, classes) == f"APGD-100{said}"
    assert apgd_name(100, 9, 200) == "APGD-100, 9 targets"


def test_square_finds_what_random_search_finds(bent):
    model, images, labels = bent
    generator = torch.Generator().manual_seed(1)
    found = torch.zeros(40, dtype=torch.bool)
    with torch.no_grad():
        for _ in range(300):
            corner = torch.randint(0, 2, images.shape, generator=generator) * 2.0 - 1
            found |= model((images + 0.08 * corner).clamp(0, 1)).argmax(1) != labels
    survived = asking(model, images, labels, epsilon=0.08)
    assert 10 < found.sum() < 40
    assert (found & ~survived).sum() >= 0.8 * found.sum()


def test_square_needs_no_gradient(bent):
    model, images, labels = bent

    class Crop(nn.Module):
        def forward(self, images):
            return model(images.detach()).detach()

    survived = asking(Crop().eval(), images, labels, epsilon=0.06)
    assert torch.equal(survived, asking(model, images, labels, epsilon=0.06))
    assert 0 < survived.sum() < 40


def test_with_more_classes_no_weaker_attack_is_stronger(bent):
    model, images, labels = (part if isinstance(part, nn.Module) else part[:10] for part in bent)
    before = torch.random.get_rng_state()
    rows = dict(
        evaluate_test(model, images, labels, AttackSettings(0.05, seed=0), with_autoattack=True)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert list(rows)[-2:] == ["AutoAttack", "worst case"]
    assert 0 < rows["worst case"].hits <= rows["AutoAttack"].hits
    assert rows["AutoAttack"].hits <= rows["APGD-20, 3 targets"].hits <= rows["PGD-50"].hits
    assert rows["clean"].hits > rows["AutoAttack"].hits


@pytest.mark.parametrize("attack", [ce, targeted, asking])
def test_the_trace_function_and_the_worlds_random_numbers_are_left_alone(bent, attack):
    before = torch.random.get_rng_state()
    with traced() as trace:
        attack(*bent, epsilon=0.05)
        assert sys.gettrace() is trace
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("attack", [ce, targeted, asking])
def test_the_same_seed_gives_the_same_answer_whatever_the_world_drew(bent, attack):
    answers = []
    for seed in (1, 2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            answers.append(attack(*bent, epsilon=0.05))
    assert torch.equal(*answers)


@pytest.mark.parametrize(
    ("attack", "name"),
    [(ce, "APGDAttack"), (targeted, "NearestFirst"), (asking, "SquareAttack")],
)
def test_an_attack_gets_its_seed(bent, monkeypatch, attack, name):
    seeds, true = [], getattr(door, name)

    def noted(*args, seed, **how):
        seeds.append(seed)
        return true(*args, seed=seed, **how)

    monkeypatch.setattr(door, name, noted)
    attack(*bent, epsilon=0.05)
    assert seeds == [0]


@EVERY
def test_no_images_have_no_answers(linear, attack):
    model, images, labels, _ = linear
    survived = attack(model, images[:0], labels[:0], epsilon=0.05)
    assert survived.dtype == torch.bool
    assert survived.shape == (0,)


@pytest.mark.parametrize("attack", [ce, targeted, asking])
def test_a_model_that_is_never_right_has_no_survivors(bent, attack):
    model, images, labels = bent
    assert not attack(model, images, (labels + 1) % 4, epsilon=0.05).any()


def test_a_point_outside_the_ball_is_no_proof(flat, monkeypatch):
    model, images, labels, _ = flat
    monkeypatch.setattr(APGDAttack, "perturb", lambda self, x, y: x + 0.02)
    with pytest.raises(AssertionError, match="left the ball"):
        ce(model, images, labels, epsilon=0.01)
