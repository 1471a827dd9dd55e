"""The comparison of ways of searching, on learning curves of known optimum: no data, no onnx."""

import json
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
import pytest

from benchmarks.lcbench import Reference, choose
from benchmarks.regret import SHARES, never_worse, ratio, regrets
from benchmarks.search import latest, measure, read
from benchmarks.simulated import Look, Trained, simulate
from benchmarks.ways import RaysDefault, Way, usual
from pipeline.problem.space import Float, Int, SearchSpace
from regmix.errors import InputError
from tests.support.processes import call, run

FOREVER = math.inf


@dataclass
class Bowl:
    """The nearer to x = 0.3 and depth 2, the higher the end; the optimum is 0.9."""

    epochs: int = 9
    space: SearchSpace = field(
        default_factory=lambda: SearchSpace("b", "", {}, {"x": Float(0, 1), "depth": Int(1, 3)}, "")
    )
    asked: list = field(default_factory=list)
    eval_every: int = 1
    trainings: int = 20

    def trained(self, params):
        self.asked.append(params)
        end = 0.9 - (params["x"] - 0.3) ** 2 - 0.1 * abs(params["depth"] - 2)
        curve = [end * (1 - 0.5**epoch) for epoch in range(1, self.epochs)] + [end]
        return Trained(curve, end, end)


@dataclass
class Script:
    """A way that trains what it was told: trial -> the epoch after which it stops."""

    stops: list
    calls: list = field(default_factory=list)

    def ask(self):
        number = sum(call[0] == "ask" for call in self.calls)
        if number == len(self.stops):
            return None
        self.calls.append(("ask", number))
        return number, {"number": number}

    def report(self, number, epoch, look):
        self.calls.append((number, epoch, look.value))
        return epoch < self.stops[number]


@dataclass
class Lines:
    """Curves as they are written down."""

    curves: list
    trainings: int
    eval_every: int = 1
    space: SearchSpace = SearchSpace("", "", {}, {}, "")

    @property
    def epochs(self):
        return len(self.curves[0])

    def trained(self, params):
        curve = self.curves[params["number"]]
        return Trained(curve, curve[-1], curve[-1])


@pytest.fixture(autouse=True)
def quiet():
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def test_the_earliest_epoch_comes_next_and_a_free_worker_asks_at_once():
    way = Script([1, 3, 2])
    simulate(way, Lines([[0.1, 0.2, 0.3]] * 3, 2), workers=2, shares=[1.0])
    first = [("ask", 0), ("ask", 1), (0, 1, 0.1), ("ask", 2), (1, 1, 0.1)]
    assert way.calls == [*first, (2, 1, 0.1), (1, 2, 0.2), (2, 2, 0.2), (1, 3, 0.3)]


def test_the_incumbent_is_the_highest_last_report_or_the_best_complete_one():
    early, full = [0.5, 0.6, 0.1], [0.2, 0.3, 0.4]
    outcome = simulate(Script([2, 3]), Lines([early, full], 2), 1, [1 / 6, 2 / 3, 5 / 6])
    assert outcome.last == [0.1, 0.1, 0.1]  # 0.6 was the highest report; its end is 0.1
    assert outcome.complete == [0.1, 0.1, 0.4]
    assert (outcome.trials, outcome.finished) == (2, 1)


def test_what_is_reported_after_a_moment_does_not_count_in_it():
    outcome = simulate(Script([2, 2]), Lines([[0.1, 0.2], [0.8, 0.9]], 2), 1, [0.5, 0.75])
    assert outcome.last == [0.2, 0.9]


@pytest.mark.parametrize("way", usual(), ids=lambda way: way.name)
def test_every_way_spends_the_whole_budget_and_no_more(way):
    spent = []

    class Counted:
        def __init__(self, method):
            self.ask, self._method = method.ask, method

        def report(self, *told):
            spent.append(told)
            return self._method.report(*told)

    outcome = simulate(Counted(way.method(Bowl(), 0)), Bowl(trainings=10), 3, [1.0])
    assert len(spent) == 90
    assert 0 < outcome.finished < outcome.trials
    assert 0.5 < outcome.last[0] <= 0.9


def test_the_same_seed_gives_random_with_and_without_pruning_the_same_configurations():
    plain, pruned = Bowl(trainings=7), Bowl(trainings=7)
    for task, way in ((plain, "a=random+none"), (pruned, "b=random+halving")):
        simulate(Way.parse(way).method(task, 5), task, 2, [1.0])
    assert len(pruned.asked) > len(plain.asked) > 4
    assert pruned.asked[: len(plain.asked)] == plain.asked


def test_rays_searcher_is_told_a_stopped_trial_as_complete_with_its_low_value():
    way = RaysDefault(Bowl(), 0, {})
    for _ in range(2):
        way.ask()
    assert way.report(0, 1, Look(0.4))
    assert not way.report(1, 1, Look(0.1))  # the first rung is epoch 1
    study: Any = way.searcher._ot_study
    good, bad = study.get_trials()
    assert (good.state.name, good.intermediate_values) == ("RUNNING", {1: 0.4})
    assert (bad.state.name, bad.value) == ("COMPLETE", 0.1)


def test_the_options_of_a_way_reach_what_they_belong_to():
    settings = Way.parse("w=tpe+halving:rungs=2/4,keep=0.25").settings(9)
    assert settings.startswith("tpe Halving(rungs=(2, 4), keep=0.25")
    assert " at 0x" not in Way.parse("w=random+none").settings(9)
    ray: Any = Way.parse("r=ray:grace_period=3").method(Bowl(), 0)
    assert [rung for rung, _ in ray.scheduler._brackets[0]._rungs] == [3]


@pytest.mark.parametrize(
    ("text", "said"),
    [("tpe", "must be NAME="), ("a=tpe", "must be NAME="), ("a=tpee+none", "did you mean 'tpe'")],
)
def test_a_wrong_way_is_refused_with_a_remedy(text, said):
    with pytest.raises(InputError, match=said):
        Way.parse(text)


def test_an_unknown_option_of_a_way_is_refused():
    with pytest.raises(InputError, match="unknown option 'keeep'"):
        Way.parse("a=tpe+halving:keeep=1").settings(9)


def test_what_is_measured_is_not_measured_again_and_comes_out_the_same(tmp_path):
    out, ways = tmp_path / "rows.jsonl", [Way.parse("t=tpe+halving"), Way.parse("ray=ray")]
    tasks = {"small": Bowl(9), "large": Bowl(10)}
    assert measure(tasks, ways, 1, out, FOREVER)
    whole = out.read_text()
    assert len(read(out)) == 4
    measure(tasks, ways, 1, out, FOREVER)
    assert out.read_text() == whole
    lines = whole.splitlines(keepends=True)
    out.write_text("".join(lines[:3]) + lines[3][:20])  # a kill amid a line
    measure(tasks, ways, 1, out, FOREVER)
    assert out.read_text() == whole


def test_out_of_time_it_says_that_something_is_left(tmp_path):
    assert not measure({"b": Bowl(3)}, [Way.parse("r=random+none")], 1, tmp_path / "o", until=0)


def test_of_a_way_with_other_settings_only_the_last_count():
    rows = [{"way": "w", "settings": s, "task": t} for s, t in (("a", "1"), ("b", "1"), ("b", "2"))]
    assert latest(rows, ["1"]) == [rows[1]]


def row(way, task, seed, value):
    return {"way": way, "task": task, "seed": seed, "last": [value] * len(SHARES)}


def test_regret_is_none_at_the_best_and_one_at_a_median_configuration():
    reference = {"t": Reference("t", best=0.9, median=0.5)}
    rows = [row("w", "t", seed, value) for seed, value in enumerate((0.9, 0.5, 0.7))]
    found = regrets(rows, reference, "last")["w"]
    assert [found["t", seed][0] for seed in range(3)] == pytest.approx([0, 1, 0.5])


def test_a_ratio_is_of_the_pairs_that_both_have():
    one = {("t", 0): np.full(20, 0.1), ("u", 0): np.full(20, 0.3), ("u", 9): np.full(20, 7.0)}
    other = {("t", 0): np.full(20, 0.2), ("u", 0): np.full(20, 0.6), ("t", 9): np.full(20, 7.0)}
    np.testing.assert_allclose(ratio(one, other), 0.5)


def test_never_worse_says_where():
    flat = {("t", seed): np.full(20, 0.5) for seed in range(3)}
    assert never_worse(flat, flat) == "yes"
    once = {key: np.where(np.isin(np.arange(20), (1, 2, 19)), 0.6, 0.4) for key in flat}
    expected = "no: higher at 10% to 15%, 100%; interval above 1 at 10% to 15%, 100%"
    assert never_worse(once, flat) == expected


def test_tuning_tasks_are_those_up_to_167190():
    tasks = ("3945", "167190", "167200", "189909")
    assert choose(["tuning"], tasks) == ["3945", "167190"]
    assert choose(["untouched"], tasks) == ["167200", "189909"]
    with pytest.raises(InputError, match="did you mean 'tuning'"):
        choose(["tunning"], tasks)


@pytest.mark.parametrize("given", [(), ("--surrogate", "nowhere")])
def test_without_the_surrogate_one_line_says_where_to_get_it(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    typed = ("search", *given, "--out", tmp_path / "o")
    line = call(*typed, room="benchmarks").one_line
    assert "slds-lmu/yahpo_data" in line and "LCBENCH=" in line


@pytest.mark.process
def test_the_table_of_the_committed_figures_is_printed_without_the_surrogate(tmp_path):
    rows = [
        {"settings": "s", "complete": [], **row(way, "189909", seed, value)}
        for way, value in (("ray", 0.7), ("ours", 0.8))
        for seed in range(2)
    ]
    out = tmp_path / "rows.jsonl"
    out.write_text("".join(json.dumps(each) + "\n" for each in rows))
    result = run("search", "--table", "--out", out, room="benchmarks", cold=True)
    assert result.code == 0, result.err
    assert "ratio to ray" in result.out
    # (0.87286 - 0.8) / (0.87286 - 0.61838) and its ratio to that of 0.7
    assert "0.286" in result.out and "0.42 (0.42 to 0.42)" in result.out
