"""Replays over tables of trainings: a search may choose a row once, and nothing but rows."""

import json
from typing import Any

import numpy as np
import optuna
import pytest

from benchmarks import gain, trainings
from benchmarks.pool import PoolTask, Row
from benchmarks.replays import replayed
from benchmarks.simulated import simulate
from benchmarks.ways import Way
from pipeline.problem.problem import SearchProblem
from pipeline.problem.space import Choice, Float, SearchSpace

SPACE = SearchSpace("t", "", {}, {"x": Float(0.1, 10, log=True), "k": Choice(("a", "b"))}, "")


def table(count=60, trainings=16):
    random = np.random.default_rng(5)
    rows = []
    for _ in range(count):
        x, k = 10 ** random.uniform(-1, 1), random.choice(["a", "b"])
        end = 0.7 - 0.2 * np.log10(x) ** 2 - 0.1 * (k == "b")
        curve = [None if e % 2 else end * (1 - 0.5**e) for e in range(1, 7)]
        rows.append(Row({"x": float(x), "k": str(k)}, curve, end - 0.02, end))
    return PoolTask("t", rows, SPACE, epochs=6, eval_every=2, trainings=trainings)


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.ERROR)


@pytest.mark.parametrize("way", ["r=random+none", "f=freeze+freeze:guard=6"])
def test_a_search_takes_each_row_at_most_once_and_knows_what_it_took(way):
    task = table()
    method: Any = Way.parse(way).method(task, 0)
    outcome = simulate(method, task, 2, [1.0])
    trials = method.controller.record.trials()
    taken = [(trial.params["x"], trial.params["k"]) for trial in trials]
    assert len(set(taken)) == len(taken) == outcome.trials == len(task.used)
    known = {(round(row.params["x"], 9), row.params["k"]): row for row in task.rows}
    for trial in trials:
        row = known[round(trial.params["x"], 9), trial.params["k"]]
        values = {e: v for e, v in enumerate(row.curve, start=1) if v is not None}
        assert trial.values == {e: values[e] for e in trial.values}
        if trial.state == "COMPLETE":
            assert trial.final_robust == pytest.approx(row.final, abs=1e-6)


def test_a_small_table_is_used_up_and_the_best_is_found():
    task = table(count=8, trainings=8)
    found = replayed(task, Way.parse("r=random+none"), 2, 1)
    best = max(row.worth for row in task.rows)
    assert found[:, -1].tolist() == [best] * 2
    assert task.used == set()  # a replay uses a copy up


def test_the_model_finds_good_rows_sooner_than_chance():
    frozen, chance = (
        replayed(table(300), Way.parse(way), 6, 2)[:, -1].mean()
        for way in ("f=freeze+freeze:guard=6", "r=random+none")
    )
    assert frozen > chance


def test_a_table_is_drawn_the_same_each_time_and_begins_with_the_default():
    problem = SearchProblem.load("regmix", "digits", {})
    first, again = (list(trainings.configurations(problem, 5)) for _ in range(2))
    assert first == again
    assert first[0] == (0, problem.default())
    assert len({json.dumps(params) for _, params in first}) == 5


def test_the_tuned_start_is_a_recipe_whose_default_differs_only_there(tmp_path):
    plain = SearchProblem.load("regmix", "digits", {}).default()
    tuned = SearchProblem.load("regmix", str(gain._tuned(tmp_path)), {}).default()
    assert {name: tuned[name] for name in gain.TUNED["regmix"]} == gain.TUNED["regmix"]
    assert {n for n in plain if plain[n] != tuned[n]} == set(gain.TUNED["regmix"])
