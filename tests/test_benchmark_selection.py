"""The benchmark of selection: known answers on a table that is made up."""

import json

import numpy as np
import pytest

from benchmarks import selection
from regmix.evaluation.results import pack


def row(number, robust, test, generator):
    survived = generator.permutation(100) < round(100 * robust)
    params = {"a": number / 50, "b": (number % 7) / 7, "c": (number % 11) / 11}
    return {
        "number": number,
        "params": params,
        "robust": round(100 * robust) / 100,
        "survivors": pack(survived.tolist()),
        "test_robust": test,
    }


def made_up(count=50):
    generator = np.random.default_rng(0)
    values = 0.3 + 0.2 * np.arange(count) / count
    return {n: row(n, value, value + 0.01, generator) for n, value in enumerate(values)}


def test_no_two_searches_share_a_configuration_and_the_default_is_in_none():
    rows = made_up()
    found = selection.searches(rows, 10)
    numbers = [number for search in found for number in search]
    assert len(found) == 4 and len(set(numbers)) == 40 and 0 not in numbers
    promising = selection.searches(rows, 10, part=0.5)
    assert len(promising) == 2 and min(min(search) for search in promising) > 15


def test_what_is_foreseen_of_a_row_is_a_fit_to_the_others():
    rows = made_up()
    before = selection.foreseen(rows)
    assert before[40] == pytest.approx(rows[40]["robust"], abs=0.02)
    rows[40] = {**rows[40], "robust": 0.9}
    after = selection.foreseen(rows)
    assert after[40] == pytest.approx(before[40])  # its own luck tells nothing of it
    assert after[41] != pytest.approx(before[41], abs=1e-6)


def test_a_choice_is_overtuned_where_an_earlier_one_or_the_default_is_better_on_test():
    rows = made_up()
    assert selection.overtuned(rows, [3, 9, 5]) == (False, False)
    rows[9] = {**rows[9], "test_robust": 0.305}
    assert selection.overtuned(rows, [3, 9, 5])[0]
    assert selection.overtuned(rows, [9, 5]) == (False, rows[0]["test_robust"] > 0.305)
    assert selection.overtuned(rows, [3, 9])[0] and not selection.overtuned(rows, [9, 3])[0]


def test_the_table_tells_prediction_and_loss_of_what_was_trained_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(selection, "RESULTS", tmp_path)
    rows = made_up()
    lines = [json.dumps(one) for one in rows.values()]
    (tmp_path / "trainings-mine-digits.jsonl").write_text("\n".join([*lines, '{"number": 99}']))
    assert selection.trainings("mine-digits") == rows
    best = selection.winner(rows, selection.searches(rows, 20)[0])
    generator = np.random.default_rng(1)
    fresh = [
        {**row(best, rows[best]["robust"] - 0.05, 0.4, generator), "seed": seed}
        for seed in (101, 102)
    ]
    other = min(number for number in rows if number != best)
    fresh += [{**rows[other], "seed": seed} for seed in (101, 102)]
    for one in fresh:
        one["finalist_robust"] = one["robust"] - 0.01
    (tmp_path / "selection-mine-digits.jsonl").write_text("\n".join(map(json.dumps, fresh)))
    text = "\n".join(selection.table("mine-digits", 20))
    assert "2 searches, each the best of 20 of the most promising 100% of 49" in text
    assert "lost by fresh seeds: +0.0500 (n = 1)" in text
    assert "lost by as finalists: +0.0600 (n = 1)" in text
    assert "overtuned: 0 of 2 worse on test" in text
    assert "seeds, of 2 configurations" in text
