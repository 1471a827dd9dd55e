"""MPS is this session's own and ends with it; what can't be had is one line. The program is a fake
that keeps a journal; what a real card does with it is not tried here."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from pipeline.execution import mps as service
from pipeline.execution.mps import CONTROL, mps
from tests.support.processes import ROOT, wait_for

# Writes down how it was called, with its pipes; answers as its variables tell it to.
FAKE = """#!/bin/sh
words=$([ "$1" = -d ] || cat)
echo "$1$words in $CUDA_MPS_PIPE_DIRECTORY" >> "$JOURNAL"
case "$1$words" in
  -d) sleep 5 & [ -n "$REFUSES" ] && { echo "Cannot start: $REFUSES" >&2; exit 1; } ;;
  get_server_list) [ -n "$SERVES" ] && echo 4711 ;;
esac
exit 0
"""


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """Plant the fake and a driver; yields the file of what it was asked."""
    place, driver = tmp_path / "bin", tmp_path / "version"
    place.mkdir(), driver.touch()
    (place / CONTROL).write_text(FAKE)
    (place / CONTROL).chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    monkeypatch.setenv("JOURNAL", str(tmp_path / "journal"))
    monkeypatch.setenv("SERVES", "yes")
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    monkeypatch.setattr(service, "_DRIVER", driver)
    monkeypatch.setattr(service, "_SECONDS", 2)
    (tmp_path / "session").mkdir()
    return tmp_path / "journal"


def asked(journal):
    return [line.partition(" in ")[0] for line in journal.read_text().splitlines()]


@pytest.mark.process(seconds=1)
def test_it_runs_in_the_sessions_folder_and_quits_with_it(journal, tmp_path, capsys):
    with mps(tmp_path / "session") as runs:
        assert runs
        pipes = os.environ["CUDA_MPS_PIPE_DIRECTORY"]
        assert pipes == os.environ["CUDA_MPS_LOG_DIRECTORY"] == str(tmp_path / "session" / "mps")
        assert "quit" not in asked(journal)
    assert "CUDA_MPS_PIPE_DIRECTORY" not in os.environ
    assert asked(journal) == ["-d", f"start_server -uid {os.getuid()}", "get_server_list", "quit"]
    assert {line.partition(" in ")[2] for line in journal.read_text().splitlines()} == {pipes}
    assert capsys.readouterr().out == ""


@pytest.mark.process(seconds=3)
def test_what_refuses_is_one_line_and_the_search_goes_on(journal, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/the/users/own")
    place = journal.parent / "bin"
    cases = [  # what is wrong, the line, whether it had begun
        (lambda: monkeypatch.setenv("SERVES", ""), "its server did not come up", True),
        (
            lambda: monkeypatch.setenv("REFUSES", "compute mode"),
            f"{CONTROL} refused (Cannot start: compute mode)",
            False,
        ),
        (
            lambda: (place / CONTROL).write_text("#!/bin/sh\nexec sleep 60\n"),
            "did not answer within 2 s",
            False,
        ),
        (lambda: (place / CONTROL).write_text("junk"), f"{CONTROL} refused (", False),
        (
            lambda: monkeypatch.setattr(service, "_DRIVER", tmp_path / "none"),
            "no driver for a GPU is loaded here",
            False,
        ),
        (lambda: (place / CONTROL).unlink(), f"there is no program {CONTROL} here", False),
    ]
    for plant, expected, begun in cases:
        plant()
        journal.unlink(missing_ok=True)
        with mps(tmp_path / "session") as runs:
            assert not runs
            assert os.environ["CUDA_MPS_PIPE_DIRECTORY"] == "/the/users/own"
        (line,) = capsys.readouterr().out.splitlines()
        assert line.startswith("--mps: ") and line.endswith(", so trials share a GPU without it")
        assert expected in line
        assert (journal.exists() and "quit" in asked(journal)) == begun
        shutil.rmtree(tmp_path / "session" / "mps")


@pytest.mark.process(seconds=2)
def test_it_quits_also_when_its_session_is_killed(journal, tmp_path):
    code = (
        "import time\nfrom pathlib import Path\nfrom pipeline.execution import mps as service\n"
        f"service._DRIVER = Path({str(tmp_path)!r})\n"
        f"with service.mps(Path({str(tmp_path / 'session')!r})):\n"
        "    print('runs', flush=True)\n    time.sleep(100)\n"
    )
    session = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert session.stdout.readline() == "runs\n"
    alive = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    session.send_signal(signal.SIGKILL)
    session.communicate()
    wait_for(lambda: "quit" in asked(journal), alive)
    alive.kill(), alive.communicate()


@pytest.mark.process(seconds=2)
@pytest.mark.skipif(shutil.which(CONTROL) is None, reason=f"there is no {CONTROL} here")
def test_a_real_card_is_shared_or_the_reason_is_said(tmp_path, capsys):
    with mps(tmp_path) as runs:
        assert runs or capsys.readouterr().out.startswith("--mps: ")
