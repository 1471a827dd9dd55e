"""Signs of gradient masking: each trips its own flag, a sound model none."""

import copy
from dataclasses import asdict, replace

import pytest
import torch
from torch import nn

from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.masking import masking
from regmix.evaluation.pgd_ensemble import correct, pgd, random_start, validate
from regmix.evaluation.results import Masking
from tests.support.regmix.models import Around

CLEAN = Masking(
    more_steps=0.0,
    single_step=0.0,
    objectives=0.0,
    large_epsilon=0.0,
    zero_gradient=0.0,
    not_logits=False,
    random=0.0,
    half_precision=False,
    without_gradient=0.0,
)
EPSILON = 0.08
MANY = 10**6  # images


def look(model, images, labels, *, epsilon=EPSILON, steps=10, batch_size=500, known=None):
    start = random_start(images, epsilon, seed=0)
    known = known or validate(model, images, labels, start, epsilon=epsilon, steps=steps)
    given = images, labels, start, known
    return masking(model, *given, AttackSettings(epsilon, 0, batch_size))


def raised(found):
    """The names of the limits that are exceeded: each told alone has its one sentence."""
    return {
        name
        for name, value in asdict(found).items()
        if replace(CLEAN, **{name: value}).flags(MANY, 10) and value is not None
    }


@pytest.mark.parametrize(
    ("name", "limit", "words"),
    [
        ("more_steps", 0.015, "50 steps of PGD fool 0.015 more than the epochs' 10 steps"),
        ("single_step", 0.2, "overfitted to single steps"),
        ("objectives", 0.08, "on the margin differ by"),
        ("without_gradient", 0.002, "Square, which needs no gradient"),
        ("large_epsilon", 0.05, "at four times epsilon"),
        ("zero_gradient", 0.01, "exactly zero"),
        ("random", 1e-4, "two passes over the same images"),
        ("not_logits", False, "the outputs are probabilities"),
        ("half_precision", False, "weights are not fp32"),
    ],
)
def test_each_limit_raises_its_own_flag_and_no_other(name, limit, words):
    above = True if limit is False else limit * 1.01
    (sentence,) = replace(CLEAN, **{name: above}).flags(MANY, 10)
    assert words in sentence
    assert "{" not in sentence
    assert replace(CLEAN, **{name: limit}).flags(MANY, 10) == ()


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("more_steps", 0.015),
        ("single_step", 0.2),
        ("objectives", 0.08),
        ("without_gradient", 0.002),
        ("large_epsilon", 0.05),
        ("zero_gradient", 0.01),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 3, 10, 40, 66, 100, 300, 1000, 10_000])
def test_a_sign_is_one_of_four_images_at_least_and_above_its_limit(name, limit, count):
    for hits in range(min(count, 9) + 1):
        found = replace(CLEAN, **{name: hits / count}).flags(count, 10)
        assert bool(found) == (hits >= 4 and hits / count > limit)
    assert count < 4 or replace(CLEAN, **{name: 1.0}).flags(count, 10)


@pytest.mark.parametrize(
    ("steps", "words"),
    [(1, "epochs' 1 step"), (3, "50 steps of PGD fool 0.500 more than the epochs' 3 steps"),
     (20, "50 steps of PGD fool 0.500 more than the epochs' 20 steps"), (40, "80 steps of PGD")],
)  # fmt: skip
def test_the_sentence_says_the_true_number_of_steps(steps, words):
    (sentence,) = replace(CLEAN, more_steps=0.5).flags(100, steps)
    assert sentence.endswith(f"the epochs' {steps} step{'s' if steps > 1 else ''}")
    assert words in sentence


def test_a_sign_tells_how_much_was_found():
    assert "0.123" in replace(CLEAN, large_epsilon=0.1234).flags(MANY, 10)[0]


def test_without_signs_there_are_no_flags_also_where_square_was_not_asked():
    assert CLEAN.flags(MANY, 10) == replace(CLEAN, without_gradient=None).flags(MANY, 10) == ()


def test_a_linear_model_has_no_signs(linear):
    model, images, labels, _ = linear
    found = look(model, images, labels)
    assert found.flags(MANY, 10) == ()
    still = {"more_steps", "single_step", "objectives", "zero_gradient", "random"}
    assert {asdict(found)[name] for name in still} == {0.0}
    assert found.without_gradient is None


def test_rounded_images_have_no_gradient(linear):
    model, images, labels, _ = linear
    rounded = Around(model, before=lambda x: torch.round(x * 4) / 4).eval()
    found = look(rounded, images, labels)
    assert found.zero_gradient == correct(rounded, images, labels).float().mean()
    assert "zero_gradient" in raised(found)


def test_loud_logits_have_no_gradient_for_cross_entropy(trained, digit_images):
    loud = Around(trained, after=lambda z: z * 1e4).eval()
    quiet, found = (look(model, *digit_images) for model in (trained, loud))
    assert quiet.zero_gradient == 0
    assert {"zero_gradient", "objectives"} <= raised(found) - raised(quiet)


def test_probabilities_are_told_from_logits(trained, digit_images):
    quiet = look(trained, *digit_images)
    found = look(Around(trained, after=lambda z: z.softmax(1)).eval(), *digit_images)
    assert raised(found) - raised(quiet) >= {"not_logits"}
    assert not quiet.not_logits
    shifted = Around(trained, after=lambda z: z.softmax(1) - 0.5).eval()  # sums to -4
    assert not look(shifted, *digit_images).not_logits
    negative = Around(trained, after=lambda z: 2 * z.softmax(1) - 0.1).eval()  # sums to 1
    assert not look(negative, *digit_images).not_logits


@pytest.mark.parametrize(("size", "flagged"), [(1e-2, True), (1e-7, False)])
def test_noise_inside_the_model_is_told(linear, size, flagged):
    model, images, labels, _ = linear
    generator = torch.Generator().manual_seed(0)
    noisy = Around(
        model, after=lambda z: z + size * torch.randn(z.shape, generator=generator)
    ).eval()
    found = look(noisy, images, labels)
    assert ("random" in raised(found)) == flagged
    assert 0 < found.random < 10 * size


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_told(linear, kind):
    model, images, labels, _ = linear
    half = copy.deepcopy(model).to(kind)
    found = look(
        Around(half, before=lambda x: x.to(kind), after=lambda z: z.float()).eval(), images, labels
    )
    assert "half_precision" in raised(found)
    assert not look(copy.deepcopy(model).double(), images.double(), labels).half_precision


def test_steps_that_were_too_few_are_told(trained, digit_images):
    # one step of a quarter of the radius is no attack: fifty find what it has missed
    images, labels = digit_images
    start = random_start(images, 0.04, seed=0)
    how = {"epsilon": 0.04, "steps": 1, "schedule": "constant"}
    found = look(
        trained,
        images,
        labels,
        epsilon=0.04,
        known=validate(trained, images, labels, start, **how),
    )
    alive, after = (
        pgd(trained, images, labels, start, epsilon=0.04, step=0.01, steps=steps)[0]
        & correct(trained, images, labels)
        for steps in (1, 50)
    )
    assert found.more_steps == pytest.approx((alive & ~after).float().mean().item())
    assert "more_steps" in raised(found)


def test_each_question_has_its_steps(linear, monkeypatch):
    asked = []

    def noted(*given, **how):
        asked.append(
            tuple(how[key] for key in ("steps", "epsilon", "step", "schedule", "objective"))
        )
        return pgd(*given, **how)

    model, images, labels, _ = linear
    start = random_start(images, 0.02, seed=0)
    known = validate(model, images, labels, start, epsilon=0.02, steps=7)
    monkeypatch.setattr("regmix.evaluation.masking.pgd", noted)
    look(model, images, labels, epsilon=0.02, known=known)
    assert asked == [
        (7, 0.02, 0.02, "falling", "margin"),  # as the epoch's own
        (50, 0.02, 0.005, "constant", "cross_entropy"),
        (10, 0.08, 0.02, "constant", "cross_entropy"),
    ]


def test_a_pixel_that_does_not_matter_hides_nothing(linear):
    model, images, labels, _ = linear
    partly = copy.deepcopy(model)
    partly[1].weight[:, 3] = 0
    assert look(partly, images, labels).zero_gradient == 0


def test_a_single_step_that_finds_less_is_told(linear):
    model, images, labels, _ = linear
    start = random_start(images, EPSILON, seed=0)
    known = validate(model, images, labels, start, epsilon=EPSILON, steps=10)
    blind = replace(known, fgsm_mask=known.clean_mask)
    found = look(model, images, labels, known=blind)
    assert found.single_step == pytest.approx(known.clean - known.pgd)
    assert raised(found) == {"single_step"}


def test_what_survives_at_any_radius_is_told(linear):
    _, images, labels, _ = linear
    deaf = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval()
    nn.init.zeros_(deaf[1].weight)
    deaf[1].bias.data = torch.tensor([2.0, 0.0])
    found = look(deaf, images, labels)
    assert found.large_epsilon == pytest.approx((labels == 0).float().mean().item())
    assert raised(found) == {"large_epsilon", "zero_gradient"}


def test_four_times_the_radius_is_asked_exactly(linear):
    model, images, labels, worst_margin = linear
    found = look(model, images, labels, epsilon=0.02)
    exact = (worst_margin(0.08) > 0).float().mean().item()
    assert found.large_epsilon == pytest.approx(exact, abs=1e-6)
    assert 0.05 < exact < (worst_margin(0.02) > 0).float().mean()


def test_the_margin_is_asked_of_all_that_were_right(trained, digit_images):
    images, labels = digit_images
    found = look(trained, images, labels, epsilon=0.06, steps=4)
    start = random_start(images, 0.06, seed=0)
    how = {"epsilon": 0.06, "step": 0.06, "steps": 4, "schedule": "falling"}
    right = correct(trained, images, labels)
    shares = [
        (pgd(trained, images, labels, start, **how, objective=kind)[0] & right)
        .float()
        .mean()
        .item()
        for kind in ("cross_entropy", "margin")
    ]
    assert found.objectives == pytest.approx(abs(shares[0] - shares[1]))
    assert found.objectives > 0


def test_the_batch_size_does_not_matter(trained, digit_images):
    one, small = (look(trained, *digit_images, epsilon=0.06, batch_size=b) for b in (500, 7))
    assert one == small


def test_nobody_who_is_broken_already_is_attacked_again(linear):
    model, images, labels, _ = linear
    counting = Around(model).eval()
    wrong = 1 - model(images).argmax(1)
    known = validate(counting, images, wrong, images * 0, epsilon=EPSILON, steps=10)
    counting.seen.clear()
    found = look(counting, images, wrong, known=known, batch_size=30)
    assert counting.seen == [30, 30]  # the two passes that look for noise
    assert (found.more_steps, found.objectives, found.large_epsilon) == (0, 0, 0)


def test_the_model_stays_as_it_was(trained, digit_images):
    before = copy.deepcopy(trained.state_dict())
    look(trained, *digit_images)
    torch.testing.assert_close(trained.state_dict(), before, rtol=0, atol=0)
    assert all(weight.grad is None for weight in trained.parameters())


def test_long_steps_that_find_other_images_are_no_sign(trained, digit_images):
    images, labels = digit_images
    start = random_start(images, 0.08, seed=0)
    known = validate(trained, images, labels, start, epsilon=0.08, steps=8)
    how = {"epsilon": 0.08, "step": 0.02, "steps": 50}
    longer = pgd(trained, images, labels, start, **how)[0] & correct(trained, images, labels)
    assert (known.pgd_mask & ~longer).any()  # fooled by these alone
    assert longer.sum() > known.pgd_mask.sum()  # yet they are the weaker attack
    assert look(trained, images, labels, epsilon=0.08, known=known).more_steps == 0
