"""The benchmark of rungs: known answers, and a training of its own."""

import json
import math

import numpy as np
import pytest

from benchmarks import curves, rungs
from benchmarks.curves import halve, interval, rank_correlation, ratio, shortfalls


def test_curves_that_never_cross_lose_nothing_and_cost_what_halving_costs():
    lines = [[height * epoch for epoch in range(1, 11)] for height in range(1, 10)]
    final = [curve[-1] for curve in lines]
    spent, short, lost = halve(lines, final, first=0.2, keep=1 / 3)
    assert (short, lost) == (0.0, 0.0)
    assert 0.2 < spent < 0.7
    assert halve(lines, final, first=0.5, keep=1.0)[0] == 1.0  # nobody stops


def test_a_best_that_starts_last_is_lost_at_an_early_rung_and_kept_at_a_late_one():
    lines = [[0.5] * 4 + [0.5 + 0.01 * k] * 6 for k in range(9)]
    lines.append([0.1] * 4 + [0.9] * 6)
    final = [curve[-1] for curve in lines]
    _, short, lost = halve(lines, final, first=0.2, keep=1 / 3)
    assert lost == pytest.approx(0.9, abs=0.05)  # only where it comes first is nobody better
    assert short == pytest.approx(0.9 * (0.9 - 0.58), abs=0.03)
    assert halve(lines, final, first=0.5, keep=1 / 3)[1:] == (0.0, 0.0)


def test_at_the_same_epochs_halving_pays_where_ranks_hold_and_costs_where_they_turn():
    height = np.linspace(0.2, 0.6, 30).tolist()
    steady = [list(h * np.ones(10)) for h in height]
    turning = [list(np.where(np.arange(10) < 5, 1 - h, h)) for h in height]
    unpruned = shortfalls(steady, height, first=1, keep=1)
    found, low, high = ratio(shortfalls(steady, height, first=0.2, keep=1 / 2), unpruned)
    assert low < found < high < 0.8
    found, low, high = ratio(shortfalls(turning, height, first=0.2, keep=1 / 3), unpruned)
    assert 1.5 < low < found < high
    # nobody stops at a rung: the same trials, to the digit
    same = ratio(shortfalls(turning, height, first=0.2, keep=1.0), unpruned)
    assert same == (1.0, 1.0, 1.0)


def test_the_interval_of_a_rank_correlation_holds_it_and_narrows():
    generator = np.random.default_rng(0)
    ability = generator.normal(size=200)
    early, final = ability.tolist(), (ability + generator.normal(size=200)).tolist()
    known = rank_correlation(early, final)
    few, many = interval(early[:20], final[:20]), interval(early, final)
    assert many[0] < known < many[1]
    assert many[1] - many[0] < few[1] - few[0]
    assert rank_correlation([1, 2, 3], [1, 4, 9]) == pytest.approx(1.0)


def test_public_logs_become_tables(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(curves.shortfalls, "__defaults__", (6, 10))  # draws, orders
    monkeypatch.setattr(curves.interval, "__defaults__", (50,))  # draws
    epochs = range(1, 101)
    runs = [
        {
            "autoattack_acc": 20 + k,
            "wa_pgd_acc_list": [0.1 + 0.001 * k * e / 100 for e in epochs],
            "model_pgd_acc_list": [0.1 + 0.001 * (9 - k) * e / 100 for e in epochs],
        }
        for k in range(9)
    ]
    (tmp_path / "log.json").write_text(json.dumps({"method": [*runs, {"autoattack_acc": 1}]}))
    assert rungs.main(["replay", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "(n = 9)" in shown.replace("\n", " ") or "n =" in shown
    assert "1.00 (1.00 to" in shown and "-1.00 (-1.00 to" in shown


def test_own_trials_are_kept_and_not_trained_twice(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rungs, "RESULTS", tmp_path)
    small = {"epochs": 4, "train_images": 100, "valid_images": 50, "width": 4, "eval_steps": 4}
    monkeypatch.setitem(rungs.SMALL, "digits", small)
    assert rungs.main(["train", "digits", "--count", "3"]) == 0
    rows = rungs.read("digits")
    assert len(rows) == 3 * len(rungs.arms(4)) == 12
    assert all(len(row["averaged"]) == len(row["raw"]) == row["epochs"] for row in rows)
    assert all(math.isfinite(row["final_robust"]) for row in rows)
    assert rungs.main(["train", "digits", "--count", "3"]) == 0
    assert rungs.read("digits") == rows
    capsys.readouterr()
