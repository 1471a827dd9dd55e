"""How commands end: by a signal at any moment, and whatever becomes of what they print."""

import gc
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base import early, streams, variables
from pipeline.base.early import COMMANDS
from pipeline.views import leaderboard
from pipeline.views.layout import page_width
from pipeline.views.summary import summarize
from tests.support import interrupting
from tests.support.processes import ROOT, call, start
from tests.support.studies import search_arguments, states, study_of

HOOK = Path(next(iter(interrupting.__path__)))
LINES = {"{name}: interrupted", "interrupted at once; nothing is lost: the same command continues"}
EARLY = [  # modules, at whose import the signal comes: from the first line on
    ("search", "argparse", "SIGINT"),
    ("search", "optuna", "SIGTERM"),
    ("search", "ray.tune", "SIGINT"),
    ("search", "ray", "SIGHUP"),
    ("confirm", "numpy", "SIGINT"),
    ("compare", "numpy", "SIGTERM"),
    ("export", "pipeline.base.cli", "SIGTERM"),
    ("train", "pipeline.problem.exported", "SIGINT"),
    ("evaluate", "yaml", "SIGINT"),
    ("attack", "numpy", "SIGTERM"),
    ("status", "pipeline.base.cli", "SIGINT"),
    ("report", "numpy", "SIGTERM"),
    ("ui", "urllib.request", "SIGINT"),
]


def interrupted(script, module, how, *words):
    moment = {"REGMIX_TEST_MOMENT": f"{module} {how} {script}.py", "PYTHONPATH": str(HOOK)}
    process = start(script, *words, environment=moment, cold=True)
    out, err = process.communicate(timeout=100)
    assert process.returncode == 130, (script, module, out + err)
    assert "Traceback" not in out + err
    return out, err


def test_every_command_is_interrupted_somewhere():
    assert {script for script, *_ in EARLY} == set(COMMANDS)


@pytest.mark.process(seconds=12)
def test_a_signal_at_any_moment_is_one_line_and_the_same_status(tmp_path):
    for script, module, how in EARLY:
        words = search_arguments(tmp_path / "runs", trials=1) if script == "search" else ()
        _, err = interrupted(script, module, how, *words)
        assert err in {f"{line.format(name=script)}\n" for line in LINES}, (script, module)
        assert not (tmp_path / "runs").exists(), (script, module)


@pytest.mark.process(seconds=8)
def test_a_signal_while_mlflow_or_the_table_is_written_loses_nothing_but_the_view(
    tmp_path, cluster
):
    typed = search_arguments(tmp_path, *cluster, "--pruner", "none", trials=2, epochs=2)
    _, err = interrupted("search", "pipeline.views.html.page", "SIGINT", *typed)
    assert err == "interrupted at once; nothing is lost: the same command continues\n"
    assert [trial.state for trial in states(tmp_path).values()] == ["COMPLETE"] * 2
    assert call("search", *typed).code == 0


def test_the_time_of_an_interrupted_session_counts(tmp_path):
    from tests.support.controllers import controller_at, epoch_result, study_at

    controller = controller_at(tmp_path)
    controller.budget.before = 60
    controller.report(controller.ask().number, epoch_result(1, 0.3))
    assert study_at(tmp_path).seconds >= 60


OUTPUT = {  # variables and redirections; those of the long table are tried with that
    "search": {
        "closed": ("", ">&- 2>&- <&-"),
        "narrow": ("PYTHONIOENCODING=ascii COLUMNS=1 LINES=0 FORCE_COLOR=1", ">out"),
    },
    "export": {
        "closed": ("", ">&-"),
        "gone": ("", "| true"),
        "full": ("", ">/dev/full 2>/dev/full"),
        "no locale": ("LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 COLUMNS=x", ">out"),
        "dumb": ("TERM=dumb NO_COLOR=1 COLUMNS=0", ">out"),
    },
}


@pytest.mark.process(seconds=14)
def test_no_stream_ends_a_command_or_changes_its_status(searched):
    known = {
        "search": search_arguments(searched, trials=8),
        "export": ("--study", "wamr-digits", "--runs", searched, "--out", searched / "out-é"),
    }
    for script, cases in OUTPUT.items():
        for what, (given, target) in cases.items():
            typed = " ".join(map(str, known[script]))
            line = f"{given} {sys.executable} {ROOT}/pipeline/{script}.py {typed} {target}"
            if what == "no locale":
                line = line.replace("é", "e")  # no text there: refused
            command = ["bash", "-o", "pipefail", "-c", line]
            done = subprocess.run(command, cwd=searched, capture_output=True, text=True)
            assert (done.returncode, done.stderr) == (0, ""), (script, what)
            if target == ">out":
                printed = (searched / "out").read_text(errors="replace")
                ending = "is complete; to extend it" if script == "search" else "next: "
                assert ending in printed, (script, what)
                assert "\x1b[?25l" not in printed, "a table is redrawn where nobody sees it"
    assert len(states(searched)) == 8


@pytest.mark.parametrize("columns", [1, 10, 60, 200])
def test_a_terminal_of_any_width_shows_the_end(searched, monkeypatch, columns):
    class Terminal(io.StringIO):
        encoding = "latin-1"

        def isatty(self):
            return True

    with Terminal() as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        size = os.terminal_size((columns, 20))
        monkeypatch.setattr(os, "get_terminal_size", lambda *_: size)
        monkeypatch.delenv("COLUMNS", raising=False)
        assert page_width() == max(60, columns)
        leaderboard.show(summarize(study_of(searched)), ["next"])
        printed = terminal.getvalue()
    printed.encode("latin-1")
    assert "Best: trial" in printed and printed.rstrip().endswith("next")
    assert max(map(len, printed.splitlines())) <= max(60, columns)


def test_a_command_does_not_look_through_all_that_it_loaded_when_it_ends(monkeypatch):
    """Python's last collections of a search's driver took 0.7 s."""
    registered = []
    monkeypatch.setattr("atexit.register", registered.append)
    monkeypatch.setattr(early, "hear", lambda *_: None)
    for name in ("search.py", "pytest"):
        monkeypatch.setattr(sys, "argv", [name])
        early.begin()
    assert registered == [gc.freeze]


def test_words_that_are_no_text_are_one_line(tmp_path):
    for script in COMMANDS:
        line = call(script, "--study", "a\udcffb", tmp_path / "\udcfe.yaml").one_line
        assert line.startswith(f"{script}: command line: ") and "no text in this locale" in line


def test_a_full_device_is_left_and_the_command_goes_on(monkeypatch):
    with open("/dev/full", "w") as full:
        stream = streams._patient(full, os.dup(full.fileno()))
        for _ in range(3):
            print("x" * 10_000, "\u2026", file=stream, flush=True)
        assert os.path.samestat(os.fstat(stream.fileno()), os.stat(os.devnull))


@pytest.mark.parametrize("value", ["", "0", "-1", "x", "9" * 30, "1e3", "\u0663"])
def test_variables_that_libraries_fail_at_are_dropped(monkeypatch, value):
    for name in ("COLUMNS", "LINES", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.org")
    variables.mend()
    assert not {"COLUMNS", "LINES", "OMP_NUM_THREADS"} & set(os.environ)
    assert os.environ["no_proxy"] == "example.org,localhost,127.0.0.1"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    variables.mend()
    assert os.environ["OMP_NUM_THREADS"] == "2"
