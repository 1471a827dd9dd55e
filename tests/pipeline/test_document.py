"""The one JSON document of a command: what it holds, and that it is all of standard output."""

import contextlib
import io
import json
import math
import signal
import sys

import pytest

from pipeline.base import document
from pipeline.base.signals import Interrupt
from pipeline.driver.documents import Told
from pipeline.driver.publish import View
from pipeline.views.summary import summarize
from tests.support.controllers import controller_of, finish, problem_of, study_at
from tests.support.processes import call
from tests.support.studies import search_arguments, study_of


def test_a_document_is_json_in_ascii_without_numbers_that_json_lacks():
    said = io.StringIO()
    document.write(said, "x", {"é": (1, math.nan), "deep": {"far": [-math.inf, 0.5, None, True]}})
    text = said.getvalue()
    assert text.isascii() and json.loads(text) == {
        "format": 1,
        "command": "x",
        "é": [1, None],
        "deep": {"far": [None, 0.5, None, True]},
    }


@pytest.mark.parametrize("wanted", [True, False])
def test_what_is_printed_beside_a_document_goes_to_standard_error(capsys, wanted):
    with document.alone(wanted=wanted) as output:
        print("a line")
        assert output is not sys.stdout or not wanted
        output.write("{}")
    said = capsys.readouterr()
    assert (said.out, said.err) == (("{}", "a line\n") if wanted else ("a line\n{}", ""))


def test_what_a_signal_is_answered_by_is_no_part_of_a_document(capfd):
    """It is written past Python's own buffers."""
    with document.alone(wanted=True), Interrupt() as interrupt:
        interrupt.begin()
        signal.raise_signal(signal.SIGINT)
        assert interrupt.requested.is_set()
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "\nstopping; nothing is lost\n")


def told(tmp_path, status):
    """What `Told` writes of a study of two trials, one of which goes on."""
    problem = problem_of()
    place = tmp_path / "studies" / "s"
    place.mkdir(parents=True)
    controller = controller_of(study_at(place, problem), problem, 3)
    finish(controller, controller.ask(), 0.5)
    controller.ask()
    said = io.StringIO()

    def act():
        if status == "interrupted":
            raise KeyboardInterrupt
        return status

    view = View("sqlite:///none", tmp_path, None)
    with contextlib.suppress(KeyboardInterrupt):
        command = Told("search", view, "s", tmp_path)
        assert command.run(act, lambda *_: ["then this"], said) == status
    return controller.record, json.loads(said.getvalue())


@pytest.mark.parametrize("status", [130, "interrupted"])
def test_a_search_that_is_interrupted_has_its_document(tmp_path, status):
    study, found = told(tmp_path, status)
    assert (found["state"], found["exit_status"]) == ("interrupted", 130)
    assert found["headline"].startswith("interrupted: 1 of 2 trials complete, best trial 0: 0.500")
    assert found["files"] == [] and found["next"] == ["then this"]
    plain = json.loads(json.dumps(summarize(study).document()))
    assert {name: found[name] for name in plain} == plain


def test_before_a_study_is_made_an_interrupted_search_has_nothing_to_tell(tmp_path):
    said, view = io.StringIO(), View("sqlite:///none", tmp_path, None)

    def act():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Told("search", view, "s", tmp_path).run(act, lambda *_: [], said)
    assert said.getvalue() == ""


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("search", ("--space", "nosuch")),
        ("confirm", ("--study", "nosuch")),
        ("compare", ("--spaces", "plain")),
        ("export", ("--study", "nosuch")),
        ("train", ("nosuch.yaml",)),
        ("evaluate", ("nosuch.yaml",)),
    ],
)
def test_a_mistake_is_the_last_line_of_standard_error_and_no_document(script, words):
    ended = call(script, *words, "--json")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-1].startswith(f"{script}: ")


@pytest.mark.process(seconds=8)
def test_a_complete_study_and_its_exported_files_are_documents(searched, tmp_path):
    """The study, the document and the file that is exported say the same numbers."""
    typed = (*search_arguments(searched, trials=8), "--out", tmp_path, "--json")
    ended = call("search", *typed)
    found = json.loads(ended.out)
    study = study_of(searched)
    assert ended.code == found["exit_status"] == 0 and found["state"] == "done"
    rows = {row["trial"]: row for row in found["trials"]}
    for trial in study.trials():
        row = rows[trial.number]
        assert (row["state"], row["final_robust"]) == (trial.state, trial.final_robust)
        assert row["params"] == trial.params and row["epoch"] == trial.last_epoch
    assert "Best: trial" in ended.err and any("export.py" in line for line in found["next"])
    export = ("--study", "wamr-digits", "--runs", searched, "--out", tmp_path, "--json")
    (first, *_) = json.loads(call("export", *export).out)["configurations"]
    assert first["trial"] == found["best"]["trial"]
    judged = json.loads(call("evaluate", first["file"], "--validation", "--json").out)
    assert judged["rows"][0]["attack"] == "clean" and judged["kept"] is None
    assert judged["rows"][0]["accuracy"] == pytest.approx(found["best"]["clean"])
    again = json.loads(call("train", first["file"], "--json").out)
    assert again["same"] is True and again["sd"] is None
    assert again["mean"] == again["runs"][0]["final_robust"] == found["best"]["final_robust"]
