"""Which parameters matter, on studies of which that is known."""

import numpy as np
import pytest

from pipeline.forecast.gaussian_process import Hyperparameters, Looks, Process
from pipeline.views.importances import (
    FEWEST,
    MUCH,
    Importance,
    importances,
    importances_in_words,
    told,
)
from tests.support.large_study import write_study


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("study"), 120, overfitted=False)


def test_the_one_parameter_that_matters_is_found_and_the_others_are_not(study):
    found = importances(study)
    first, *others = found
    assert first == next(iter(study.trial(0).params)), "the objective depends on the first alone"
    assert found[first].low > MUCH
    assert all(found[name].high < found[first].low for name in others)
    assert f"{first} matters: " in importances_in_words(found, told(study))


def test_an_importance_lies_within_its_interval_and_both_in_0_to_1(study):
    for one in importances(study).values():
        assert 0 <= one.low <= one.value <= one.high <= 1


def test_it_is_the_same_each_time(study):
    assert importances(study) == importances(study)


def test_little_is_known_of_few_trials_and_nothing_is_said_of_fewer(tmp_path):
    some = write_study(tmp_path / "some", 17, overfitted=False)
    assert told(some) >= FEWEST
    wide = max(one.high - one.low for one in importances(some).values())
    assert wide > 0.2, "so few trials leave much open"
    few = write_study(tmp_path / "few", 9)
    assert importances(few) == {}
    assert f"can't be said with n = {told(few)} trials" in importances_in_words({}, told(few))


def test_parameters_are_named_by_what_is_certain_of_them():
    found = {
        "alpha": Importance(0.8, 0.6, 0.9),
        "beta": Importance(0.3, 0.05, 0.6),
        "gamma": Importance(0.02, 0.0, 0.05),
    }
    said = importances_in_words(found, 50)
    assert said.startswith("alpha matters: 60 to 90 % of the variance")
    assert (
        "gamma hardly matters" in said and "Whether beta matters is open, by n = 50 trials" in said
    )


def test_draws_of_the_process_go_through_what_was_seen_and_spread_elsewhere():
    points = np.linspace(0, 1, 12)[:, None]
    values = np.sin(6 * points[:, 0])
    none = np.zeros(len(points))
    looks = Looks(points, np.zeros(1, np.int64), np.arange(len(points)), none, values)
    known = list(Hyperparameters.prior(1).values)
    known[0] = np.log(0.3)
    process = Process(looks, Hyperparameters((*known[:3], -9.0, known[4], -9.0)))
    asked = np.array([[points[4, 0]], [3.0]])
    drawn = process.draw(asked, 400, np.random.default_rng(0))
    mean, deviation = process.predict(asked, np.zeros(2))
    assert drawn.shape == (400, 2)
    assert drawn[:, 0].std() < 0.1 < drawn[:, 1].std()
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.15)
    assert drawn[:, 1].std() == pytest.approx(deviation[1], rel=0.15)
