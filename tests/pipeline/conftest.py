import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATES = ("COMPLETE", "PRUNED", "FAIL", "WAITING", "RUNNING")
SMALL = ("train_images=320", "valid_images=100", "width=8")  # an epoch in a tenth of a second


@dataclass
class Finished:
    code: int
    out: str
    err: str

    @property
    def one_line(self):
        """The error as a user sees it: one line, no traceback."""
        assert self.code == 2, self.out + self.err
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.out
        return lines[0]


def start(script, *args, cwd=None, environment=None):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "pipeline" / f"{script}.py"), *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
        preexec_fn=_hearing_signals,
    )


def _hearing_signals():
    """As in a terminal: in a shell's background, or under nohup, they are ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def run(script, *args, cwd=None, environment=None):
    process = start(script, *args, cwd=cwd, environment=environment)
    out, err = process.communicate(timeout=400)
    return Finished(process.returncode, out, err)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def search_arguments(runs, *more, epochs=4, trials=6):
    settings = ("--set", f"epochs={epochs}", *SMALL)
    return ("--recipe", "digits", "--runs", runs, "--trials", trials, *more, *settings)


def interrupt_after(process, beginning, how):
    """Wait for a line that begins so, send the signal, and return all that was printed."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(beginning):
            process.send_signal(how)
            break
    out, err = process.communicate(timeout=100)
    return Finished(process.returncode, "".join(lines) + out, err)


def next_trial(process):
    """Wait for the next line about an ended trial, and return it."""
    for line in process.stdout:
        if line.startswith("trial"):
            return line
    raise AssertionError(f"it ended: {process.communicate()[1]}")


def states(runs, study="wamr-digits"):
    """Return number -> FrozenTrial from the study's own storage."""
    import optuna

    from pipeline.study.storage import open_storage

    place = Path(runs) / "studies" / study
    loaded = optuna.load_study(study_name=study, storage=open_storage(None, place, mend=False))
    return {trial.number: trial for trial in loaded.get_trials()}


def shown(runs, study="wamr-digits"):
    """Return number -> MLflow run, and the summary runs, from MLflow's own database."""
    from pipeline.tracking.uri import connect

    client = connect(f"sqlite:///{Path(runs) / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(study)
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    trials = [run for run in found if "trial" in run.data.tags]
    numbers = [int(run.data.tags["trial"]) for run in trials]
    assert len(set(numbers)) == len(numbers), "a trial has two runs"
    return dict(zip(numbers, trials, strict=True)), [r for r in found if r not in trials]


def board(text):
    """Return number -> (epoch, judged, robust, state) from the table that the command printed."""
    rows = {}
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("rank"):
            break
    for line in lines:
        words = line.split()
        if not words:
            break
        state = next((word for word in words if word.isupper() and word in STATES), None)
        if state is None:
            continue  # the rest of a long reason
        rows[int(words[1])] = (words[2].partition("/")[0], words[3], words[4], state)
    return rows


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A search that ran to its end as a process: its folder and what it printed."""
    runs = tmp_path_factory.mktemp("finished")
    return runs, run("search", *search_arguments(runs, "--space", "wamr", trials=8), cwd=runs)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """What a search that is the same each time finds when nobody kills anything."""
    from tests.pipeline.killing import arguments, outcome

    place = tmp_path_factory.mktemp("undisturbed")
    result = run("search", *arguments(place))
    assert result.code == 0, result.err
    rows = outcome(place)
    assert {row[0] for row in rows.values()} == {"COMPLETE", "PRUNED"}
    return rows
