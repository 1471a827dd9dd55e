"""What changes from one session to the next is said and kept; what is no candidate is no best."""

import pytest

from tests.support.controllers import controller_at, study_at
from tests.support.processes import call, run
from tests.support.studies import search_arguments, states


def test_a_study_keeps_how_each_session_searched(tmp_path):
    study = study_at(tmp_path)
    first = {"sampler": "bohb", "pruner": "none", "seed": 0, "control-every": 12}
    assert study.use(first) == {}
    assert study.use(first) == {}
    assert study_at(tmp_path).use({**first, "sampler": "tpe"}) == {"sampler": ("bohb", "tpe")}
    assert study_at(tmp_path).methods == [first, {**first, "sampler": "tpe"}]
    changed = {**first, "seed": 1, "pruner": "halving"}
    known = {"seed": (0, 1), "pruner": ("none", "halving"), "sampler": ("tpe", "bohb")}
    assert study_at(tmp_path).use(changed) == known
    assert controller_at(tmp_path).record.methods[-1] == changed


def test_another_sampler_or_pruner_is_said_in_one_sentence(searched):
    more = ("--sampler", "tpe", "--control-every", "3")
    typed = search_arguments(searched, trials=8)
    same = call("search", *typed)
    assert "goes on otherwise" not in same.out
    other = call("search", *search_arguments(searched, *more, trials=8))
    said = "wamr-digits goes on otherwise: --sampler freeze is now tpe, --control-every 12 is now 3"
    assert other.out.count("goes on otherwise") == 1 and said in other.out
    assert "goes on otherwise" in call("search", *typed).out  # back again


@pytest.mark.process(seconds=7)
def test_without_a_candidate_no_command_is_printed_that_needs_one(tmp_path, cluster):
    more = ("--min-clean", "1", "--concurrency", "1", *cluster)
    result = run("search", *search_arguments(tmp_path, *more, trials=2, epochs=1))
    assert result.code == 0, result.err
    assert {trial.state for trial in states(tmp_path).values()} == {"COMPLETE"}
    assert "Every complete trial violates a constraint" in result.out
    assert "ui.py" in result.out
    for script in ("confirm", "export", "train", "evaluate"):
        assert f"{script}.py" not in result.out
    lines = [line for line in result.out.splitlines() if line.startswith("trial   ")]
    assert len(lines) == 2 and all("no best yet" in line for line in lines)
    known = ("--study", "wamr-digits", "--runs", tmp_path)
    for script in ("export", "confirm"):
        assert "no candidate" in call(script, *known, "--out", tmp_path / "out").one_line
    assert not (tmp_path / "out").exists()
