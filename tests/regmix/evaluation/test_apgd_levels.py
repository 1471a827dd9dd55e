"""Levels of evaluation: each asks only survivors, and none can be fooled by what fools another."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace

import pytest
import torch

from regmix.evaluation import apgd_levels as levels
from regmix.evaluation.apgd_levels import after_apgd, evaluate_finalist, evaluate_trial
from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.pgd_ensemble import correct, random_start, validate
from regmix.evaluation.results import FinalEvaluation, Masking
from regmix.training.metrics import EpochMetrics
from tests.support.regmix.models import Around


def known_of(model, images, labels, epsilon):
    start = random_start(images, epsilon, seed=0)
    return start, validate(model, images, labels, start, epsilon=epsilon, steps=10)


def evaluated(how, model, images, labels, *, epsilon, batch_size=500):
    given = known_of(model, images, labels, epsilon)
    return how(model, images, labels, *given, AttackSettings(epsilon, 0, batch_size))


@pytest.mark.parametrize("epsilon", [0.002, 0.01, 0.02])
def test_on_four_linear_classes_a_trial_has_the_exact_value(flat, epsilon):
    model, images, labels, radius = flat
    exact = int((radius > epsilon).sum())
    assert 0 < exact < 60
    assert evaluated(evaluate_trial, model, images, labels, epsilon=epsilon).hits == exact


@pytest.mark.parametrize("how", [evaluate_trial, evaluate_finalist])
def test_on_a_linear_model_every_level_is_the_closed_form(linear, how):
    model, images, labels, worst_margin = linear
    exact = int((worst_margin(0.05) > 0).sum())
    _, known = known_of(model, images, labels, 0.05)
    found = evaluated(how, model, images, labels, epsilon=0.05)
    assert int(known.robust_mask.sum()) == found.hits == exact
    assert found.count == 400
    assert found.robust == found.share.value == exact / 400
    assert found.masking.without_gradient == (0.0 if how is evaluate_finalist else None)


def test_a_higher_level_never_leaves_more(trained, digit_images):
    images, labels, epsilon = digit_images[0][:16], digit_images[1][:16], 0.06
    _, known = known_of(trained, images, labels, epsilon)
    trial, finalist = (
        evaluated(how, trained, images, labels, epsilon=epsilon)
        for how in (evaluate_trial, evaluate_finalist)
    )
    assert known.clean * 16 > int(known.robust_mask.sum()) >= trial.hits >= finalist.hits > 0
    assert trial.count == finalist.count == 16


def test_the_batch_size_does_not_matter_where_an_attack_finds_all(linear):
    model, images, labels, _ = linear
    one, small = (
        evaluated(evaluate_trial, model, images[:50], labels[:50], epsilon=0.05, batch_size=b)
        for b in (500, 7)
    )
    assert one == small


ASKED = AttackSettings(epsilon=0.01, seed=3)


class Attacks:
    """Stands in for APGD and Square: notes who is attacked, and fools the first of them."""

    def __init__(self):
        self.asked = []

    def apgd(self, model, images, labels, settings, *, steps, targets):
        return self._fool(f"apgd {steps} {targets}", images, settings)

    def square(self, model, images, labels, settings, *, queries):
        return self._fool(f"square {queries}", images, settings)

    def _fool(self, name, images, settings):
        assert settings == ASKED
        self.asked.append((name, images[:, 0, 0, 0].tolist()))
        return torch.arange(len(images)) > 0


@pytest.fixture
def attacks(monkeypatch):
    result = Attacks()
    monkeypatch.setattr(levels, "apgd", result.apgd)
    monkeypatch.setattr(levels, "square", result.square)
    return result


def numbered(linear, robust):
    """Images of which each tells its number, and an evaluation that says who of them survived."""
    model, images, labels, _ = linear
    images, labels = images[:8].clone(), labels[:8]
    images[:, 0, 0, 0] = torch.arange(8) / 10
    start, known = known_of(model, images, labels, 0.01)
    mask = torch.zeros(8, dtype=torch.bool)
    mask[robust] = True
    return model, images, labels, start, replace(known, robust_mask=mask)


def numbers(asked):
    return [(name, [round(10 * value) for value in pixels]) for name, pixels in asked]


def test_a_trial_asks_who_survived_the_epoch_and_then_who_survived_that(linear, attacks):
    given = numbered(linear, [1, 2, 5, 7])
    found = evaluate_trial(*given, ASKED)
    assert numbers(attacks.asked) == [("apgd 20 0", [1, 2, 5, 7]), ("apgd 20 3", [2, 5, 7])]
    assert (found.hits, found.count) == (2, 8)
    assert given[-1].robust_mask.sum() == 4  # the epoch's own answer stays


def test_square_is_asked_last_and_what_it_finds_counts_twice(linear, attacks):
    found = evaluate_finalist(*numbered(linear, [1, 2, 5, 7]), ASKED)
    assert numbers(attacks.asked) == [
        ("apgd 100 0", [1, 2, 5, 7]),
        ("apgd 100 9", [2, 5, 7]),
        ("square 1000", [5, 7]),
    ]
    assert (found.hits, found.count) == (1, 8)
    assert found.masking.without_gradient == 1 / 8
    assert found.flags(10) == ()  # a single image
    assert any("Square" in flag for flag in found.masking.flags(800, 10))


def test_where_nobody_survived_the_epoch_nobody_does(linear):
    for how in (evaluate_trial, evaluate_finalist):
        found = how(*numbered(linear, []), ASKED)
        assert (found.hits, found.count) == (0, 8)


def test_who_was_broken_before_apgd_stays_broken(linear):
    model, images, labels, _ = linear
    alive = torch.arange(400) % 2 == 0
    left = after_apgd(model, images, labels, alive, AttackSettings(0.0, 0), steps=2, targets=3)
    assert torch.equal(left, alive & correct(model, images, labels))


def test_square_finds_what_rounding_hides_from_gradients(linear):
    model, images, labels, _ = linear
    images, labels = images[:40], labels[:40]
    rounded = Around(model, before=lambda x: torch.round(x * 4) / 4).eval()
    _, known = known_of(rounded, images, labels, 0.13)
    found = evaluated(evaluate_finalist, rounded, images, labels, epsilon=0.13)
    assert found.hits <= int(known.robust_mask.sum()) - 5
    assert found.masking.without_gradient >= 5 / 40
    flags = " ".join(found.flags(10))
    assert "Square" in flags
    assert "exactly zero" in flags


def test_loud_logits_do_not_raise_a_trials_value(trained, digit_images):
    loud = Around(trained, after=lambda z: z * 1e4).eval()
    quiet, found = (
        evaluated(evaluate_trial, model, *digit_images, epsilon=0.05) for model in (trained, loud)
    )
    assert found.robust <= quiet.robust + 0.01
    assert quiet.robust > 0.1
    assert found.masking.zero_gradient > quiet.masking.zero_gradient


SIGNS = Masking(0.1, 0.2, 0.3, 0.4, 0.5, True, 0.6, False)
EPOCH = {
    "epoch": 3,
    "train_loss": 0.5,
    "train_initial": 0.9,
    "train_final": 0.6,
    "valid_clean": 0.8,
    "valid_fgsm": 0.7,
    "valid_pgd": 0.65,
    "valid_robust": 0.6,
    "raw_fgsm": 0.7,
    "raw_pgd": 0.1,
    "co_ratio": 0.14,
    "co_drop": 0.5,
    "co_detected": True,
    "best_epoch": 2,
    "best_robust": 0.61,
    "lr": 0.1,
    "seconds": 1.5,
}


@pytest.mark.parametrize("square", [None, 0.25])
def test_an_evaluation_comes_back_from_json(square):
    evaluation = FinalEvaluation(37, 120, replace(SIGNS, without_gradient=square))
    read = json.loads(json.dumps(asdict(evaluation)))
    assert isinstance(read, Mapping)
    assert FinalEvaluation.from_dict(read) == evaluation
    assert FinalEvaluation.from_dict(read).flags(10) == evaluation.flags(10) != ()


@pytest.mark.parametrize("evaluation", [None, FinalEvaluation(3, 8, SIGNS)])
def test_an_epoch_comes_back_from_json_with_its_evaluation(evaluation):
    metrics = EpochMetrics(**EPOCH, final=evaluation)
    assert EpochMetrics.from_dict(json.loads(json.dumps(asdict(metrics)))) == metrics


def test_an_epoch_with_a_missing_or_an_unknown_name_is_none():
    with pytest.raises(TypeError, match="raw_pgd"):
        EpochMetrics.from_dict({name: value for name, value in EPOCH.items() if name != "raw_pgd"})
    with pytest.raises(TypeError, match="unheard_of"):
        EpochMetrics.from_dict({**EPOCH, "unheard_of": 1})
