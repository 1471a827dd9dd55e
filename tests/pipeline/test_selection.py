"""What choosing does to a value: known answers, truth in simulation, a real study's words."""

import itertools

import numpy as np
import pytest

from pipeline.race.selection import expected_luck, selection
from pipeline.study.events import TrialOutcome
from pipeline.study.judge_noise import SEED_ALONE, noise_between, noise_of_difference
from pipeline.study.result_order import settle
from pipeline.views import leaderboard
from pipeline.views.summary import summarize
from regmix.evaluation.paired import paired
from regmix.evaluation.results import FinalEvaluation, pack
from tests.support.controllers import EPOCHS, controller_at, epoch_result, no_masking

NOISE = 0.015


def luck(generator, truth):
    """Measure values; return the luck of the largest, and what is expected of it."""
    values = truth + generator.normal(0, NOISE, len(truth))
    best = values.argmax()
    return values[best] - truth[best], expected_luck(values, NOISE)


@pytest.mark.parametrize(
    "draw",
    [
        lambda generator: generator.normal(0.4, 0.05, 20),
        lambda generator: generator.normal(0.4, 0.01, 20),
        lambda generator: np.full(20, 0.4),
        lambda generator: 0.5 - generator.exponential(0.1, 20),  # many bad ones, a wall above
        lambda generator: np.append(
            generator.normal(0.45, 0.01, 8), generator.uniform(0.1, 0.4, 9)
        ),
        lambda generator: 0.2 + generator.exponential(0.05, 20),  # a tail of good ones
    ],
    ids=["wide", "narrow", "equal", "below a wall", "a crowd and bad ones", "a tail"],
)
def test_the_expected_luck_is_that_of_the_best_whatever_the_configurations_are(draw):
    generator = np.random.default_rng(0)
    pairs = np.array([luck(generator, draw(generator)) for _ in range(200)])
    found, expected = pairs.mean(axis=0)
    assert expected == pytest.approx(found, abs=0.006)
    if found > 0.01:  # and it says more than none at all
        assert np.abs(pairs[:, 1] - pairs[:, 0]).mean() < np.abs(pairs[:, 0]).mean()


def test_one_that_stands_apart_is_no_luck_and_equals_are_hardly_anything_else():
    assert expected_luck([0.6, *np.linspace(0.2, 0.4, 15)], NOISE) < 0.001
    values = 0.4 + NOISE * np.random.default_rng(0).normal(0, 0.8, 30)
    assert expected_luck(values, NOISE) > 0.8 * (values.max() - values.mean())
    assert expected_luck([0.4] * 5, NOISE) == 0.0


def test_what_is_far_below_changes_nothing():
    values = np.linspace(0.4, 0.46, 8)
    more = expected_luck([*values, *np.linspace(0.1, 0.3, 40)], NOISE)
    assert more == pytest.approx(expected_luck(values, NOISE), abs=0.002)


def bits(robust, flipped=(), count=400):
    survived = np.arange(count) < round(robust * count)
    survived[list(flipped)] ^= True
    return FinalEvaluation(
        int(survived.sum()), count, no_masking(), pack([bool(one) for one in survived])
    )


def searched(tmp_path, finals, stopped=0):
    """A study whose complete trials have these evaluations, the default first."""
    tmp_path.mkdir(exist_ok=True)
    controller = controller_at(tmp_path, trials=len(finals) + stopped)
    for final in finals:
        number = controller.ask().number
        for epoch in range(1, EPOCHS):
            settle(controller, number, epoch_result(epoch, final.robust))
        settle(controller, number, epoch_result(EPOCHS, final.robust, final=final))
    for _ in range(stopped):
        controller.tell(controller.ask().number, TrialOutcome("PRUNED", "why"))
    return controller.record


CLOSE = [bits(0.45), bits(0.48), bits(0.475), bits(0.46, [0, 1]), bits(0.2), bits(0.25)]


def test_the_best_is_told_with_what_it_loses_and_who_may_be_as_good(tmp_path):
    record = searched(tmp_path, CLOSE, stopped=2)
    found = selection(record)
    assert found.best.number == 1 and found.alike == (2, 3, 0)
    assert 0.001 < found.luck < 0.03
    assert found.expected == pytest.approx(0.48 - found.luck)
    text = leaderboard.best_in_words(summarize(record))
    assert f"expected after selection {found.expected:.3f} (about {found.luck:.3f} of it" in text
    assert "indistinguishable from trials 2, 3, 0: on the same images" in text
    low, high = paired(CLOSE[1], CLOSE[0]).interval
    assert f"a gain of +0.030 on the same images (95 % interval {low:+.3f} to {high:+.3f}" in text


def test_a_large_gap_is_told_from_all_others(tmp_path):
    record = searched(tmp_path, [bits(0.3), bits(0.6), bits(0.35), bits(0.31)])
    assert selection(record).alike == ()
    assert "indistinguishable" not in leaderboard.best_in_words(summarize(record))


def test_the_table_has_the_paired_difference_to_the_default_of_each_complete_trial(tmp_path):
    record = searched(tmp_path, CLOSE, stopped=1)
    lines = leaderboard.everything(summarize(record)).splitlines()
    assert "over default" in lines[0]
    low, high = paired(CLOSE[1], CLOSE[0]).interval
    assert f"+0.030 ±{(high - low) / 2:.3f}" in lines[1]
    by_trial = {line.split()[0]: line for line in lines[1:8]}
    assert "±" not in by_trial["0"] and "±" not in by_trial["6"]
    assert sum("±" in line for line in lines[1:8]) == 5
    assert any("'over default': difference" in line for line in lines[8:])


def test_the_noise_of_a_difference_is_disagreement_and_seeds(tmp_path):
    assert noise_of_difference(searched(tmp_path / "one", [bits(0.5)])) is None
    finals = [bits(0.5), bits(0.5, [0, 399]), bits(0.5, [1, 398])]
    record = searched(tmp_path / "three", finals)
    images = [2 / 400 / 400, 2 / 400 / 400, 4 / 400 / 400]
    expected = np.sqrt(np.mean(images) + 2 * SEED_ALONE**2)
    assert noise_of_difference(record) == pytest.approx(expected)
    assert noise_between(finals, alone=0) == pytest.approx(np.sqrt(np.mean(images)))
    assert noise_between(finals[:1]) is None


def test_the_noise_of_equal_trainings_is_what_their_values_differ_by():
    """Equals of 400 images that flip alone, with seeds that move each alone."""
    generator = np.random.default_rng(0)
    deviations, told = [], []
    for _ in range(40):
        hardness = generator.normal(0, 1.5, 400)
        finals = []
        for _ in range(6):
            shift = generator.normal(0, SEED_ALONE / 0.2418)
            survived = hardness + shift + generator.normal(0, 0.3, 400) > 0
            finals.append(
                FinalEvaluation(int(survived.sum()), 400, no_masking(), pack(survived.tolist()))
            )
        told.append(noise_between(finals))
        pairs = itertools.combinations(finals, 2)
        deviations.append(np.mean([(one.robust - other.robust) ** 2 for one, other in pairs]))
    assert np.mean(told) == pytest.approx(np.sqrt(np.mean(deviations)), rel=0.12)
