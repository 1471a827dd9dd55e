"""Every sampler: stays in the space, is the same for the same seed, and goes on after a kill."""

import math
import shutil
from itertools import product

import numpy as np
import optuna
import pytest

from pipeline import samplers
from pipeline.problem.space import Choice, Float, Int
from pipeline.samplers._observations import Observations
from pipeline.samplers.grid import VALUES, Grid
from pipeline.samplers.qmc import Sobol
from pipeline.study.events import TrialOutcome
from pipeline.study.followed_storage import index_of
from pipeline.study.ranking import accuracies, front
from tests.support.controllers import (
    controller_at,
    controller_of,
    epoch_result,
    finish,
    kill_at_write,
    params_of,
    problem_of,
    study_at,
)

SAMPLERS = samplers.names()


def search(controller, count):
    """Ask and tell so many trials; return their parameters."""
    found = []
    for _ in range(count):
        request = controller.ask()
        params = params_of(controller, request)
        height = (
            0.8 - 0.02 * abs(math.log(params["alpha"])) - 0.1 * abs(params["epsilon_ratio"] - 1)
        )
        finish(controller, request, round(height, 4))
        found.append(params)
    return found


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_stays_in_the_space_and_goes_on_after_a_kill_as_if_there_was_none(name, tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    whole = search(controller_at(tmp_path / "a", 40, sampler=name), 14)
    ranges = controller_at(tmp_path / "b", 40, sampler=name).problem.space.ranges
    for params in whole:
        assert all(ranges[key].nearest(value) == value for key, value in params.items())
    assert len({tuple(params.values()) for params in whole}) == 14
    parts = [search(controller_at(tmp_path / "b", 40, sampler=name), n) for n in (3, 9, 2)]
    assert [params for part in parts for params in part] == whole


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_kill_between_asking_and_the_first_epoch_changes_no_parameter(name, tmp_path):
    first = controller_at(tmp_path, 40, sampler=name)
    search(first, 12)
    asked = [first.ask(), first.ask()]
    before = [params_of(first, request) for request in asked]
    again = controller_at(tmp_path, 40, sampler=name)
    requests = [again.ask() for _ in asked]
    assert [request.number for request in requests] == [12, 13]
    assert [params_of(again, request) for request in requests] == before


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_kill_in_place_of_any_write_while_asking_changes_no_parameter(name, tmp_path):
    """Parameters are stored one by one; the later ones must not depend on where a kill came."""
    before = tmp_path / "before"
    before.mkdir()
    search(controller_at(before, 40, sampler=name), 12)

    def asked(place, killed_at):
        shutil.copytree(before, place)
        with kill_at_write(killed_at) as writes:
            controller_at(place, 40, sampler=name).ask()
        controller = controller_at(place, 40, sampler=name)
        found = [params_of(controller, controller.ask()) for _ in range(2)]
        return len(writes), found

    writes, expected = asked(tmp_path / "undisturbed", -1)
    assert writes > 4  # the trial, its three parameters, and its configuration
    for moment in range(writes):
        assert asked(tmp_path / str(moment), moment)[1] == expected, f"write {moment}"


def test_a_grid_has_every_combination_once_before_it_repeats_one():
    grid = Grid((4, 2, 3), seed=3)
    points = [tuple(grid.at(number)) for number in range(1, 25)]
    axes = ((0, 1 / 3, 2 / 3, 1), (0, 1), (0, 0.5, 1))
    assert sorted(points) == sorted(product(*axes))
    assert points != sorted(points)  # in an order without meaning
    assert tuple(grid.at(25)) == points[0]
    assert Grid((4, 2, 3), seed=4).at(1) != grid.at(1) or Grid((4, 2, 3), 4).at(2) != grid.at(2)


def test_a_grid_search_ends_with_its_grid(tmp_path):
    controller = controller_at(tmp_path, 1 + VALUES**3, sampler="grid")
    params = [params_of(controller, controller.ask()) for _ in range(1 + VALUES**3)]
    assert controller.ask() is None
    assert len({tuple(values.values()) for values in params[1:]}) == VALUES**3
    alphas = sorted({values["alpha"] for values in params[1:]})
    assert alphas == pytest.approx([0.1, 0.1 * 200 ** (1 / 3), 0.1 * 200 ** (2 / 3), 20.0])


def test_sobols_points_are_more_even_than_chance():
    from scipy.stats import qmc

    points = [Sobol(3, seed=1).at(number) for number in range(64)]
    chance = qmc.discrepancy(np.random.default_rng(0).random((64, 3)))
    assert qmc.discrepancy(points) < chance / 3
    assert Sobol(3, seed=1).at(5) == points[5] != Sobol(3, seed=2).at(5)


@pytest.mark.parametrize(
    ("range_", "values"),
    [
        (Float(2, 6), [2.0, 3.0, 4.0, 5.0, 6.0]),
        (Float(1, 16, log=True), [1.0, 2.0, 4.0, 8.0, 16.0]),
        (Int(1, 3), [1, 2, 2, 2, 3]),
        (Choice(("a", "b")), ["a", "a", "b", "b", "b"]),
    ],
)
def test_a_share_of_a_range_is_a_value_on_its_own_scale(range_, values):
    assert [range_.at(k / 4) for k in range(5)] == pytest.approx(values)


@pytest.mark.parametrize(
    ("range_", "steps"), [(Float(0, 1), 4), (Int(1, 3), 3), (Int(1, 9), 4), (Choice((1, 2)), 2)]
)
def test_each_value_of_a_grids_axis_is_another_one(range_, steps):
    assert range_.steps(4) == steps
    assert len({range_.at(k / (steps - 1)) for k in range(steps)}) == steps


def test_the_front_holds_what_nothing_beats(tmp_path):
    controller = controller_at(tmp_path, 9)
    for robust, clean in (
        (0.4, 0.9),
        (0.5, 0.8),
        (0.3, 0.85),
        (0.5, 0.7),
        (0.2, 0.95),
        (0.2, 0.95),
    ):
        finish(controller, controller.ask(), robust, clean=clean)
    complete = [trial for trial in controller.record.trials() if trial.state == "COMPLETE"]
    assert [accuracies(trial) for trial in front(complete)] == [(0.5, 0.8), (0.4, 0.9), (0.2, 0.95)]
    assert front([]) == []


@pytest.mark.parametrize("name", ["tpe", "gp", "random"])
def test_a_sampler_of_the_front_is_shown_both_accuracies(name, tmp_path):
    controller = controller_at(tmp_path, 40, sampler=name, front=True)
    for k in range(12):
        finish(controller, controller.ask(), 0.3 + 0.01 * k, clean=0.9 - 0.02 * k)
    pruned = controller.ask()
    controller.report(pruned.number, epoch_result(1, 0.1))
    controller.tell(pruned.number, TrialOutcome("PRUNED", "rank 3 of 3"))
    controller.tell(controller.ask().number, TrialOutcome("FAIL", "diverged"))
    request = controller.ask()  # with pruned, failed and running trials in the study
    assert request.number == 14
    assert controller.study.directions == [optuna.study.StudyDirection.MAXIMIZE]


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "cmaes"])
def test_a_sampler_of_the_front_works_in_a_database_whose_ids_are_no_numbers(name, tmp_path):
    problem = problem_of()
    study = study_at(tmp_path, problem, f"sqlite:///{tmp_path / 'study.db'}")
    controller = controller_of(study, problem, 40, sampler=name, front=True)
    for k in range(12):
        finish(controller, controller.ask(), 0.3 + 0.01 * k, clean=0.9 - 0.02 * k)
    assert [controller.ask().number for _ in range(2)] == [12, 13]


def test_the_front_moves_the_sampler_towards_clean_accuracy_too(tmp_path):
    """Robust accuracy says alpha small, clean accuracy alpha large: one objective stays small."""
    (tmp_path / "one").mkdir(), (tmp_path / "both").mkdir()
    largest = {}
    for name, sought in (("one", False), ("both", True)):
        controller = controller_at(tmp_path / name, 60, front=sought)
        for _ in range(45):
            request = controller.ask()
            alpha = params_of(controller, request)["alpha"]
            share = math.log(alpha / 0.1) / math.log(200)
            finish(controller, request, round(0.5 - 0.3 * share, 4), clean=0.5 + 0.4 * share)
        late = sorted(trial.params["alpha"] for trial in controller.record.trials()[15:])
        largest[name] = late[-8]
    assert largest["both"] > 4 * largest["one"]


def test_trials_are_ranked_at_the_highest_epoch_that_eight_have_reached(tmp_path):
    controller = controller_at(tmp_path, 40)
    found = index_of(controller.study).view("test", Observations(True, together=False))
    assert found.epoch is None  # nothing to rank yet
    requests = [controller.ask() for _ in range(10)]
    for request in requests[:9]:
        controller.report(request.number, epoch_result(1, 0.1 + 0.05 * request.number))
    for request in requests[:3]:
        controller.report(request.number, epoch_result(2, 0.5))
    controller.tell(0, TrialOutcome("PRUNED", "rank 3 of 3"))
    controller.tell(8, TrialOutcome("FAIL", "diverged"))
    assert found.epoch == 1  # though three have more
    best, others = found.divided(9)
    assert list(best) == [7]  # trial 8 has failed
    assert list(others) == [0, 1, 2, 3, 4, 5, 6]  # running ones too
    assert 9 in found.divided(3)[1]  # without an epoch it counts as under way
    for request in requests[3:8]:
        controller.report(request.number, epoch_result(2, 0.3))
    assert found.epoch == 2
    assert list(found.divided(9)[0]) == [0]  # the first of those with 0.5
