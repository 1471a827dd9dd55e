"""Attacks against a closed form of many classes, and what they promise on any network at all."""

import copy
from dataclasses import astuple, is_dataclass
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.autoattack import autoattack
from regmix.evaluation.final_evaluation import evaluate_test
from regmix.evaluation.pgd_ensemble import correct, pgd, random_start, validate

SEEDS = st.integers(0, 2**32)
OBJECTIVES = pytest.mark.parametrize("objective", ["cross_entropy", "margin"])


def linear(classes):
    """A linear network of many classes, its images and labels, and each image's exact radius.

    Every pixel lies in [0.4, 0.6] and no radius is above 0.4, so the box has no say: the worst
    margin to class k within epsilon is (z_y - z_k) - epsilon ||w_y - w_k||_1 (Hoelder).
    """
    generator = torch.Generator().manual_seed(classes)
    images = 0.4 + 0.2 * torch.rand(60, 1, 5, 5, generator=generator)
    weight = torch.randn(classes, 25, generator=generator)
    model = nn.Sequential(nn.Flatten(), nn.Linear(25, classes)).eval().requires_grad_(False)
    model[1].weight.copy_(weight)
    model[1].bias.copy_(-weight.sum(1) / 2)
    labels = model(images).argmax(1)
    labels[::10] = (labels[::10] + 1) % classes  # wrong from the start: no radius at all
    logits = model(images)
    margins = logits.gather(1, labels[:, None]) - logits
    lengths = (weight[labels][:, None] - weight).abs().sum(2)
    ratios = (margins / lengths).scatter(1, labels[:, None], torch.inf)
    radius, rival = ratios.min(1)
    assert radius.max() < 0.4
    return model, images, labels, radius, weight[rival] - weight[labels]


CLASSES = pytest.mark.parametrize("classes", [2, 3, 5, 10])


@CLASSES
def test_the_closed_form_is_where_the_worst_point_turns_wrong(classes):
    model, images, labels, radius, away = linear(classes)
    right = radius > 0
    for share, expected in ((0.999, right), (1.001, torch.zeros_like(right))):
        moved = images.double() + (share * radius[:, None] * away.sign()).view_as(images)
        found = copy.deepcopy(model).double()(moved).argmax(1) == labels
        assert torch.equal(found & right, expected)
    assert 0.5 < right.float().mean() < 1


@CLASSES
@OBJECTIVES
def test_no_attack_breaks_an_image_within_its_exact_radius(classes, objective):
    model, images, labels, radius, _ = linear(classes)
    for epsilon in radius.clamp_min(0).quantile(torch.tensor([0.2, 0.4, 0.6, 0.8, 1.0])).tolist():
        start = random_start(images, epsilon, seed=0)
        how = {"epsilon": epsilon, "step": epsilon / 4, "steps": 20, "objective": objective}
        survived, _ = pgd(model, images, labels, start, **how)
        assert survived[radius > epsilon + 1e-5].all()


@CLASSES
def test_beyond_its_exact_radius_nearly_every_image_is_broken(classes):
    """By the ensemble; with two classes there is one rival, and no way to miss it."""
    model, images, labels, radius, _ = linear(classes)
    missed = 0
    for epsilon in radius.clamp_min(0).quantile(torch.tensor([0.2, 0.4, 0.6, 0.8, 1.0])).tolist():
        alive = correct(model, images, labels)
        for objective in ("cross_entropy", "margin"):
            start = random_start(images, epsilon, seed=0)
            how = {"epsilon": epsilon, "step": epsilon / 4, "steps": 20, "objective": objective}
            alive &= pgd(model, images, labels, start, **how)[0]
        missed += int(alive[radius < epsilon - 1e-5].sum())
    assert missed == 0 if classes == 2 else missed <= 3


def test_autoattack_finds_the_exact_radius_of_many_classes():
    pytest.importorskip("pyautoattack")
    model, images, labels, radius, _ = linear(5)
    epsilon = radius.clamp_min(0).quantile(0.6).item() + 1e-4
    survived = autoattack(model, images, labels, AttackSettings(epsilon, 0, batch_size=60))
    assert torch.equal(survived, radius > epsilon)
    assert 10 < survived.sum() < 50


def network(seed):
    """A random network with batch norm whose gradients are already in use, images and labels."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)
    )
    for weight in model.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
        weight.grad = torch.randn(weight.shape, generator=generator)
    images = torch.rand(9, 1, 4, 4, generator=generator)
    model(images)  # its statistics move off their defaults
    model.eval()
    labels = model(images).argmax(1)
    labels[0] = (labels[0] + 1) % 3
    return model, images, labels


def attacked(model, images, labels, objective="cross_entropy", steps=3, epsilon=0.1, seed=0):
    how = {"epsilon": epsilon, "step": 0.3 * epsilon, "steps": steps, "objective": objective}
    return pgd(model, images, labels, random_start(images, epsilon, seed), **how)


def validated(model, images, labels, seed=0):
    start = random_start(images, 0.1, seed)
    return validate(model, images, labels, start, epsilon=0.1, steps=2)


def evaluated(model, images, labels, seed=0):
    return tuple(evaluate_test(model, images, labels, AttackSettings(0.1, seed)))


def evaluated_by_all(model, images, labels):
    pytest.importorskip("pyautoattack")
    return tuple(evaluate_test(model, images, labels, AttackSettings(0.1, 0), with_autoattack=True))


EVALUATIONS = {
    "PGD": attacked,
    "PGD on the margin": partial(attacked, objective="margin"),
    "validation": validated,
    "evaluation": evaluated,
}


def check_it_changes_nothing(attack, seed):
    model, images, labels = network(seed)
    before = copy.deepcopy(
        (model.state_dict(), [weight.grad for weight in model.parameters()], images, labels)
    )
    attack(model, images, labels)
    after = (model.state_dict(), [weight.grad for weight in model.parameters()], images, labels)
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert not model.training
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("attack", EVALUATIONS.values(), ids=EVALUATIONS.keys())
@settings(max_examples=10)
@given(seed=SEEDS)
def test_weights_statistics_gradients_and_inputs_stay_as_they_were(attack, seed):
    check_it_changes_nothing(attack, seed)


def test_autoattack_too_leaves_all_as_it_was():
    check_it_changes_nothing(evaluated_by_all, seed=0)


def plain(result):
    """What tensors and dataclasses an attack returned, in numbers that can be compared."""
    if isinstance(result, torch.Tensor):
        return result.tolist()
    if is_dataclass(result):
        return plain(astuple(result))
    return [plain(one) for one in result] if isinstance(result, tuple | list) else result


@pytest.mark.parametrize("attack", EVALUATIONS.values(), ids=EVALUATIONS.keys())
@settings(max_examples=10)
@given(seed=SEEDS)
def test_the_same_seed_is_the_same_result_whatever_the_worlds_generator(attack, seed):
    given_all = network(seed)
    with torch.random.fork_rng(devices=[]):
        one, _, again = attack(*given_all), torch.rand(1), attack(*given_all)
    assert plain(one) == plain(again)


@OBJECTIVES
@given(seed=SEEDS, steps=st.integers(0, 4), more=st.integers(1, 4))
def test_more_steps_never_bring_an_image_back(objective, seed, steps, more):
    fewer, _ = attacked(*network(seed), objective, steps)
    longer, _ = attacked(*network(seed), objective, steps + more)
    assert (longer <= fewer).all()


@OBJECTIVES
@given(seed=SEEDS, size=st.integers(1, 8))
def test_neither_batches_nor_the_order_of_images_matter(objective, seed, size):
    model, images, labels = network(seed)
    how = {"epsilon": 0.1, "step": 0.03, "steps": 4, "objective": objective}
    start = random_start(images, 0.1, seed)
    whole, _ = pgd(model, images, labels, start, **how)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    parts = [pgd(model, images[at], labels[at], start[at], **how)[0] for at in order.split(size)]
    assert torch.equal(torch.cat(parts), whole[order])


@OBJECTIVES
@given(seed=SEEDS)
def test_without_a_radius_who_is_right_survives_and_nobody_else(objective, seed):
    model, images, labels = network(seed)
    survived, perturbation = attacked(model, images, labels, objective, epsilon=0.0)
    assert torch.equal(survived, model(images).argmax(1) == labels)
    assert not perturbation.any()


@given(seed=SEEDS)
def test_an_image_that_is_wrong_when_clean_counts_as_broken_under_every_attack(seed):
    model, images, _ = network(seed)
    wrong = (model(images).argmax(1) + 1) % 3
    for epsilon in (0.0, 0.1, 0.5):  # a start or a step may well lead into the label's region
        start = random_start(images, epsilon, seed)
        shares = validate(model, images, wrong, start, epsilon=epsilon, steps=3)
        assert (shares.clean, shares.fgsm, shares.pgd, shares.robust) == (0, 0, 0, 0)


@settings(max_examples=10)
@given(seed=SEEDS)
def test_an_attack_more_never_raises_the_worst_case(seed):
    *rows, (name, worst) = evaluated(*network(seed))
    assert name == "worst case"
    assert worst.hits <= min(share.hits for _, share in rows)
    assert max(share.hits for _, share in rows) <= dict(rows)["clean"].hits == 8
