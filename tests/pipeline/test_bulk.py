"""Many runs at once are the rows that MLflow's client writes one after the other."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from pipeline.study.events import TrialOutcome
from pipeline.tracking import bulk
from pipeline.tracking.experiment import Experiment
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.uri import connect
from tests.support.controllers import controller_at, epoch_result, finish

TABLES = ("runs", "tags", "params", "metrics", "latest_metrics", "experiment_tags")
TRIALS = 12


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study with a trial in every state, catastrophic overfitting, NaN and infinity."""
    controller = controller_at(tmp_path_factory.mktemp("study"), TRIALS, min_clean=0.95)
    requests = [controller.ask() for _ in range(TRIALS)]
    for request in requests[:6]:
        finish(controller, request, 0.3 + 0.05 * request.number)
    first = epoch_result(1, 0.4, train_loss=float("nan"), lr=float("inf"))
    for request in requests[6:11]:
        controller.report(request.number, first)
    controller.report(8, epoch_result(2, 0.2, co_detected=True, co_ratio=0.1))
    controller.tell(7, TrialOutcome("PRUNED", "rank 3 of 3 at epoch 1"))
    controller.tell(8, TrialOutcome("FAIL", "diverged"))
    controller.retry(9, "its worker process died")
    return controller.record


@pytest.fixture(scope="module")
def at_once(study, tmp_path_factory):
    """The study in a new database, all runs at once."""
    return shown(study, tmp_path_factory.mktemp("shown") / "one")


def shown(study, folder):
    """Show the study in a new database; return it."""
    folder.mkdir()
    place = folder / "mlflow.db"
    tracker = Tracker(f"sqlite:///{place}", "s", folder / "artifacts", study.problem, study.birth)
    for trial in study.trials():
        tracker.update(trial)
    tracker._flush()
    return place


def rows(place, folder):
    """Return table -> its rows, without what is new each time: ids, places and the clock."""
    found = {}
    with contextlib.closing(sqlite3.connect(place)) as base:
        base.execute("UPDATE runs SET start_time = 0 WHERE name = 'summary'")
        # what waits has not ended; MLflow's client takes the present time
        base.execute("UPDATE runs SET end_time = end_time > 0 WHERE name = 'trial 009'")
        ids = dict(base.execute("SELECT run_uuid, name FROM runs").fetchall())
        for table in TABLES:
            found[table] = sorted(
                _plain(str(row), ids, folder) for row in base.execute(f"SELECT * FROM {table}")
            )
    return found


def _plain(text, ids, folder):
    for identity, run in ids.items():
        text = text.replace(identity, run)
    return text.replace(str(folder), "")


def test_the_rows_are_those_of_mlflows_own_client(study, at_once, tmp_path, monkeypatch):
    calls = []
    with monkeypatch.context() as patch:
        patch.setattr(bulk, "REVISIONS", frozenset())
        patch.setattr(bulk, "create", lambda *_: calls.append(1))
        one_by_one = shown(study, tmp_path / "two")
    assert not calls
    expected = rows(one_by_one, tmp_path / "two")
    assert len(expected["runs"]) == TRIALS + 1
    assert rows(at_once, at_once.parent) == expected


def test_the_files_of_a_run_are_where_mlflow_looks_for_them(at_once):
    client = connect(f"sqlite:///{at_once}")
    experiment = client.get_experiment_by_name("s").experiment_id
    runs = [run for run in client.search_runs([experiment]) if "trial" in run.data.tags]
    assert len(runs) == TRIALS
    for run in runs:
        assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["config.yaml"]


def test_the_revision_of_the_installed_mlflow_is_known(at_once, tmp_path):
    assert bulk.database_of(f"sqlite:///{at_once}") == at_once
    place = Path(shutil.copy(at_once, tmp_path))
    with contextlib.closing(sqlite3.connect(place)) as base, base:
        base.execute("UPDATE alembic_version SET version_num = 'another'")
    assert bulk.database_of(f"sqlite:///{place}") is None
    assert bulk.database_of("http://127.0.0.1:5000") is None


def test_what_a_kill_left_is_completed(study, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:  # the rows are there, the files and the last tags not
        patch.setattr(Path, "write_text", _killed)
        with contextlib.suppress(KeyboardInterrupt):
            shown(study, tmp_path / "one")
    place, folder = tmp_path / "one" / "mlflow.db", tmp_path / "one"
    client = connect(f"sqlite:///{place}")
    experiment = client.get_experiment_by_name("s").experiment_id
    assert len(client.search_runs([experiment], "tags.state = 'COMPLETE'")) == 0
    opened = Experiment.open(
        f"sqlite:///{place}", "s", folder / "artifacts", study.problem, birth=study.birth
    )
    opened.show_all(study.trials())
    runs = client.search_runs([experiment], "tags.trial != ''")
    assert len(runs) == TRIALS
    states = sorted(run.data.tags["state"] for run in runs)
    assert states == sorted(trial.state for trial in study.trials())
    for run in runs:
        assert [file.path for file in client.list_artifacts(run.info.run_id)] == ["config.yaml"]


def _killed(*_, **__):
    raise KeyboardInterrupt


def test_a_few_runs_are_written_by_the_client(study, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "create", None)  # to call it would fail
    place = tmp_path / "mlflow.db"
    tracker = Tracker(f"sqlite:///{place}", "s", tmp_path / "a", study.problem, study.birth)
    for trial in study.trials()[:3]:
        tracker.update(trial)
    tracker._flush()
    with contextlib.closing(sqlite3.connect(place)) as base:
        assert base.execute("SELECT count(*) FROM runs").fetchone() == (4,)
