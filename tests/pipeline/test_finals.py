"""The race at the end of a search: its share, and who races."""

from types import SimpleNamespace

import pytest

from pipeline.driver.finals import _finalists
from pipeline.driver.race import Allowance
from pipeline.race.share import after, divided, places
from tests.support.controllers import controller_at, finish, problem_of

REQUEST = SimpleNamespace(concurrency=2, problem=problem_of())


@pytest.mark.parametrize(
    ("trainings", "search", "race"),
    [(32, 24, 8), (40, 30, 10), (16, 12, 4), (13, 13, 0), (1, 1, 0), (18, 14, 4)],
)
def test_a_quarter_of_the_trainings_is_the_races_where_that_is_enough_for_two(
    trainings, search, race
):
    assert divided(trainings) == (search, race)


def test_a_third_of_what_was_searched_is_a_quarter_of_both():
    assert [after(trained) for trained in (0.0, 3.5, 24.0, 90.0)] == [6, 6, 8, 30]


def test_each_finalist_has_two_seeds_at_least():
    assert [places(n) for n in (0, 3, 4, 5, 6, 8, 100)] == [0, 0, 2, 2, 3, 4, 4]


def searched(place, *values):
    """A study of so many complete trials; the first is the default."""
    controller = controller_at(place, len(values), sampler="random")
    for value in values:
        finish(controller, controller.ask(), value, seconds=1.0)
    return controller.record


def numbers(study, **allowance):
    return [trial.number for trial in _finalists(REQUEST, study, Allowance(**allowance))]


def test_trial_0_races_with_the_best_others_as_far_as_the_share_goes(tmp_path):
    study = searched(tmp_path, 0.1, 0.5, 0.2, 0.6, 0.4)
    for trainings, expected in ((4, [0, 3]), (6, [0, 3, 1]), (8, [0, 3, 1, 4])):
        assert numbers(study, trainings=trainings) == expected
    assert numbers(study, trainings=100) == [0, 3, 1, 4]
    assert "too little" in _finalists(REQUEST, study, Allowance(3))
    # a training takes four seconds, and two run at once: a round of three or four takes eight
    for seconds, expected in ((16.0, [0, 3, 1, 4]), (15.0, [0, 3]), (8.0, [0, 3])):
        assert numbers(study, seconds=seconds) == expected
    assert "too short" in _finalists(REQUEST, study, Allowance(seconds=7.0))


def test_where_trial_0_is_the_best_two_others_race_it(tmp_path):
    study = searched(tmp_path, 0.9, 0.5, 0.2, 0.6, 0.4)
    assert numbers(study, trainings=100) == [0, 3, 1]


def test_a_configuration_races_once(tmp_path):
    controller = controller_at(tmp_path, 5, sampler="random")
    finish(controller, controller.ask(), 0.1, seconds=1.0)
    for value in (0.5, 0.5, 0.4, 0.3):
        if value == 0.5:
            controller.record.enqueue({"alpha": 2.0, "beta": 1.0, "epsilon_ratio": 1.0}, "trial 1")
        finish(controller, controller.ask(), value, seconds=1.0)
    assert numbers(controller.record, trainings=100) == [0, 1, 3, 4]


def test_without_two_candidates_there_is_no_race(tmp_path):
    study = searched(tmp_path, 0.5)
    assert _finalists(REQUEST, study, Allowance(8)) == "trial 0 is the only candidate"
    (tmp_path / "b").mkdir()
    nothing = controller_at(tmp_path / "b").record
    assert _finalists(REQUEST, nothing, Allowance(8)) == "no trial is a candidate"
