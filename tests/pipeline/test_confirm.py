"""The race of the finalists as a user types it."""

import signal

import numpy as np
import pytest

from regmix.evaluation.results import unpack
from regmix.exported.file import Exported
from tests.support.processes import call, interrupt_after, run, start
from tests.support.studies import measured, search_arguments, shown, states

RACE = "wamr-digits-confirm"


def arguments(runs, *more):
    return ("--study", "wamr-digits", "--runs", runs, "--out", runs / "out", *more)


@pytest.mark.process(seconds=30)
def test_a_search_races_its_best_also_after_a_kill_and_confirm_goes_on_with_more(searched, cluster):
    """A search that was begun without its race has one now; it is killed in it."""
    typed = search_arguments(searched, "--out", searched / "out", *cluster, trials=8, confirm=True)
    killed = interrupt_after(start("search", *typed), "training   ", signal.SIGKILL)
    assert killed.code == -signal.SIGKILL and "\nrace of trials 0, " in killed.out
    left = {number: t.params for number, t in states(searched, RACE).items() if t.begun}
    result = run("search", *typed)
    assert result.code == 0, result.err
    race = states(searched, RACE)
    assert {number: race[number].params for number in left} == left
    assert "\nAnswer: trial " in result.out and len(states(searched)) == 8
    raced = {trial.params["finalist"] for trial in race.values()}
    assert len(raced) == 3 and 0 in raced  # a third of eight is less than six: two seeds each
    assert {trial.params["seed"] for trial in race.values()} == {1, 2}
    shown_again = call("search", *typed)
    assert shown_again.out.rpartition("\nAnswer")[2] == result.out.rpartition("\nAnswer")[2]
    assert (
        "wamr-digits is complete" in shown_again.out
        and states(searched, RACE).keys() == race.keys()
    )
    _confirm_with_more(searched, cluster)


def _confirm_with_more(searched, cluster):
    more = arguments(searched, "--top", 3, "--seeds", 2, *cluster)
    typed = arguments(searched, "--top", 2, "--seeds", 2, *cluster)  # who races stays in
    assert run("confirm", *more).code == 0
    result = run("confirm", *typed)
    assert result.code == 0, result.err
    source, race = states(searched), states(searched, RACE)
    views, _ = shown(searched, RACE)
    complete = sorted(
        (t for t in source.values() if t.state == "COMPLETE"), key=lambda t: -t.final_robust
    )
    finalists = {0, *(trial.number for trial in complete[:3])}
    pairs = sorted((t.params["finalist"], t.params["seed"]) for t in race.values())
    assert pairs == sorted((number, seed) for number in finalists for seed in (1, 2))
    for number, trial in race.items():
        assert trial.state == "COMPLETE" and views[number].info.status == "FINISHED"
        own = {"seed": trial.params["seed"], "judgement": "finalist", "judged_images": 100}
        assert trial.config == {**source[trial.params["finalist"]].config, **own}
        judged = measured(trial, 4)["final"]
        survivors = unpack(judged["survivors"], judged["count"])
        assert sum(survivors) == judged["hits"] and judged["masking"]["without_gradient"] >= 0
    means = {
        n: np.mean([t.final_robust for t in race.values() if t.params["finalist"] == n])
        for n in finalists
    }
    table = result.out.partition("\ntrial ")[2].partition("\n\n")[0]
    rows = [line.split() for line in table.splitlines() if line.strip()[:1].isdigit()]
    assert {int(row[0]): f"{means[int(row[0])]:.3f}" for row in rows} == {
        int(row[0]): row[5] for row in rows
    }
    assert len(rows) == len(finalists)
    confirmed = Exported.read(searched / "out" / "wamr-digits-confirmed.yaml")
    best = max(means, key=lambda n: means[n])
    assert confirmed.origin["finalist"] == int(rows[0][0])
    assert means[confirmed.origin["finalist"]] == means[best]
    assert confirmed.config.seed in (1, 2) and confirmed.weights.exists()
    again = call("confirm", *typed)
    assert again.code == 0
    assert [line for line in again.out.splitlines() if "default" in line]
    assert len(states(searched, RACE)) == len(race)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["--seeds", 0], "--seeds must lie in [1, 1000]"),
        (["--top", "some"], "--top must be a whole number, but is 'some'"),
        (["--study", "wamr-digit"], "unknown study 'wamr-digit'; did you mean 'wamr-digits'?"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(finished, tmp_path, typed, expected):
    runs, _ = finished
    given = ["--study", "wamr-digits", "--runs", runs, "--out", tmp_path, *typed]
    assert expected in call("confirm", *given).one_line
