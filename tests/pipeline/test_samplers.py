"""Every sampler: stays in the space, is the same for the same seed, and goes on after a kill."""

import math
from itertools import product

import numpy as np
import optuna
import pytest
from pipeline.study.pareto import both, front

from pipeline import samplers
from pipeline.problem.space import Choice, Float, Int
from pipeline.samplers._sequence import GRID, Grid, Sobol
from pipeline.study.records import TrialOutcome
from tests.support.controllers import MACHINE, bridge_at, metrics

SAMPLERS = samplers.names()


def told(bridge, count):
    """Ask and tell so many trials; return their parameters."""
    found = []
    for _ in range(count):
        request = bridge.ask()
        params = bridge.frozen(request.number).params
        height = (
            0.8 - 0.02 * abs(math.log(params["alpha"])) - 0.1 * abs(params["epsilon_ratio"] - 1)
        )
        for epoch in range(1, 5):
            ending = bridge.report(request.number, metrics(epoch, round(height, 4)), MACHINE)
        bridge.tell(request.number, ending)
        found.append(params)
    return found


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_stays_in_the_space_and_goes_on_after_a_kill_as_if_there_was_none(name, tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    whole = told(bridge_at(tmp_path / "a", trials=40, sampler=name), 14)
    ranges = bridge_at(tmp_path / "b", trials=40, sampler=name).question.space.ranges
    for params in whole:
        assert all(ranges[key].clip(value) == value for key, value in params.items())
    assert len({tuple(params.values()) for params in whole}) == 14
    parts = [told(bridge_at(tmp_path / "b", trials=40, sampler=name), n) for n in (3, 9, 2)]
    assert [params for part in parts for params in part] == whole


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_kill_between_asking_and_the_first_epoch_changes_no_parameter(name, tmp_path):
    first = bridge_at(tmp_path, trials=40, sampler=name)
    told(first, 12)
    asked = [first.ask(), first.ask()]
    before = [first.frozen(request.number).params for request in asked]
    again = bridge_at(tmp_path, trials=40, sampler=name)
    numbers = [again.ask().number for _ in asked]
    assert numbers == [12, 13]
    assert [again.frozen(number).params for number in numbers] == before


def test_a_grid_has_every_combination_once_before_it_repeats_one():
    grid = Grid((4, 2, 3), seed=3)
    points = [tuple(grid.at(number)) for number in range(1, 25)]
    axes = ((0, 1 / 3, 2 / 3, 1), (0, 1), (0, 0.5, 1))
    assert sorted(points) == sorted(product(*axes))
    assert points != sorted(points)  # in an order without meaning
    assert tuple(grid.at(25)) == points[0]
    assert Grid((4, 2, 3), seed=4).at(1) != grid.at(1) or Grid((4, 2, 3), 4).at(2) != grid.at(2)


def test_a_grid_search_ends_with_its_grid(tmp_path):
    bridge = bridge_at(tmp_path, trials=1 + GRID**3, sampler="grid")
    params = [bridge.frozen(bridge.ask().number).params for _ in range(1 + GRID**3)]
    assert len({tuple(values.values()) for values in params[1:]}) == GRID**3
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


def complete(bridge, robust, clean):
    number = bridge.ask().number
    for epoch in range(1, 5):
        told = metrics(epoch, robust, clean=clean)
        ending = bridge.report(number, told, MACHINE)
    bridge.tell(number, ending)


def test_the_front_holds_what_nothing_beats(tmp_path):
    bridge = bridge_at(tmp_path, trials=9)
    for pair in ((0.4, 0.9), (0.5, 0.8), (0.3, 0.85), (0.5, 0.7), (0.2, 0.95), (0.2, 0.95)):
        complete(bridge, *pair)
    trials = list(bridge.study.get_trials())
    assert [both(trial) for trial in front(trials)] == [(0.5, 0.8), (0.4, 0.9), (0.2, 0.95)]
    assert front([]) == []


@pytest.mark.parametrize("name", ["tpe", "gp", "random"])
def test_a_sampler_of_the_front_is_shown_both_accuracies(name, tmp_path):
    bridge = bridge_at(tmp_path, trials=40, sampler=name, front=True)
    for k in range(12):
        complete(bridge, 0.3 + 0.01 * k, 0.9 - 0.02 * k)
    pruned = bridge.ask()
    bridge.report(pruned.number, metrics(1, 0.1), MACHINE)
    bridge.tell(pruned.number, TrialOutcome("PRUNED", "rank 3 of 3"))
    bridge.tell(bridge.ask().number, TrialOutcome("FAIL", "diverged"))
    request = bridge.ask()  # with pruned, failed and running trials in the study
    assert request.number == 14
    assert bridge.study.directions == [optuna.study.StudyDirection.MAXIMIZE]


def test_the_front_moves_the_sampler_towards_clean_accuracy_too(tmp_path):
    """Robust accuracy says alpha small, clean accuracy alpha large: one objective stays small."""
    (tmp_path / "one").mkdir(), (tmp_path / "both").mkdir()
    largest = {}
    for name, sought in (("one", False), ("both", True)):
        bridge = bridge_at(tmp_path / name, trials=60, front=sought)
        for _ in range(45):
            request = bridge.ask()
            share = math.log(bridge.frozen(request.number).params["alpha"] / 0.1) / math.log(200)
            for epoch in range(1, 5):
                told = metrics(epoch, round(0.5 - 0.3 * share, 4), clean=0.5 + 0.4 * share)
                ending = bridge.report(request.number, told, MACHINE)
            bridge.tell(request.number, ending)
        late = sorted(bridge.frozen(n).params["alpha"] for n in range(15, 45))
        largest[name] = late[-8]
    assert largest["both"] > 4 * largest["one"]


def test_trials_are_ranked_at_the_highest_epoch_that_eight_have_reached(tmp_path):
    from pipeline.samplers._derived import at_common_epoch

    bridge = bridge_at(tmp_path, trials=40)
    assert at_common_epoch(bridge.study) is bridge.study  # nothing to rank yet
    requests = [bridge.ask() for _ in range(10)]
    for request in requests[:9]:
        bridge.report(request.number, metrics(1, 0.1 + 0.05 * request.number), MACHINE)
    for request in requests[:3]:
        bridge.report(request.number, metrics(2, 0.5), MACHINE)
    bridge.tell(0, TrialOutcome("PRUNED", "rank 3 of 3"))
    bridge.tell(8, TrialOutcome("FAIL", "diverged"))
    shown = at_common_epoch(bridge.study).get_trials()
    values = [trial.value if trial.state.name == "COMPLETE" else None for trial in shown]
    ranked = [pytest.approx(0.1 + 0.05 * number) for number in range(8)]
    assert values == [*ranked, None, None]  # with epoch 1, though three have more
    assert [trial.state.name for trial in shown[8:]] == ["FAIL", "RUNNING"]
    assert [trial.params for trial in shown] == [t.params for t in bridge.study.get_trials()]
    for request in requests[3:8]:
        bridge.report(request.number, metrics(2, 0.3), MACHINE)
    assert [t.value for t in at_common_epoch(bridge.study).get_trials()[:8]] == [0.5] * 3 + [
        0.3
    ] * 5
