"""MLflow as a view that can be lost and rebuilt: real studies, real databases."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
import yaml

from pipeline.study.events import TrialOutcome
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.uri import check_uri, connect
from regmix.errors import InputError
from tests.support.controllers import controller_at, epoch_result, finish
from tests.support.studies import shown


def tracker_at(place, controller):
    uri = f"sqlite:///{place / 'mlflow.db'}"
    return Tracker(uri, "wamr-digits", place / "artifacts", controller.problem.identity())


def show_all(place, controller, status="FINISHED"):
    tracker = tracker_at(place, controller)
    for trial in controller.record.trials():
        tracker.update(trial)
    tracker.close(status, {}, {})
    return tracker


def lived(place):
    """A study with a complete, a pruned, a failed and a running trial."""
    controller = controller_at(place, trials=5)
    finish(controller, controller.ask(), 0.5)
    for outcome in (
        TrialOutcome("PRUNED", "rank 2 of 2"),
        TrialOutcome("FAIL", "diverged: loss is nan"),
    ):
        request = controller.ask()
        controller.report(request.number, epoch_result(1, 0.2))
        controller.tell(request.number, outcome)
    controller.report(controller.ask().number, epoch_result(1, 0.3))
    return controller


def seen(place):
    views, _ = shown(place)
    return {
        number: (run.info.status, run.data.tags["state"], run.data.tags.get("reason", ""))
        for number, run in views.items()
    }


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    """A database that MLflow has made, and that holds nothing yet: each test takes a copy."""
    path = tmp_path_factory.mktemp("migrated") / "mlflow.db"
    connect(f"sqlite:///{path}")
    return path


@pytest.fixture
def ready(tmp_path, migrated):
    """The folder of a test with its copy, so that the tables need not be made again."""
    with (
        contextlib.closing(sqlite3.connect(migrated)) as source,
        contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as copy,
    ):
        source.backup(copy)
    return tmp_path


def test_each_state_is_shown_as_it_is(tmp_path):
    controller = lived(tmp_path)
    assert show_all(tmp_path, controller).error == ""
    assert seen(tmp_path) == {
        0: ("FINISHED", "COMPLETE", ""),
        1: ("KILLED", "PRUNED", "rank 2 of 2"),
        2: ("FAILED", "FAIL", "diverged: loss is nan"),
        3: ("RUNNING", "RUNNING", ""),
    }


def test_what_a_killed_driver_left_running_is_closed_and_reopened_in_its_own_run(ready):
    show_all(ready, lived(ready), "KILLED")
    first, _ = shown(ready)
    next_session = controller_at(ready, trials=5)
    show_all(ready, next_session)
    assert seen(ready)[3] == ("KILLED", "WAITING", "")
    request = next_session.ask()
    show_all(ready, next_session)
    assert seen(ready)[3] == ("RUNNING", "RUNNING", "")
    finish(next_session, request, 0.6)
    show_all(ready, next_session)
    assert seen(ready)[3] == ("FINISHED", "COMPLETE", "")
    again, summaries = shown(ready)
    assert {n: run.info.run_id for n, run in first.items()} == {
        n: run.info.run_id for n, run in again.items()
    }
    assert len(summaries) == 1
    client = connect(f"sqlite:///{ready / 'mlflow.db'}")
    history = client.get_metric_history(again[3].info.run_id, "valid_robust")
    assert [(m.step, m.value) for m in history] == [(1, 0.3), (2, 0.6), (3, 0.6), (4, 0.6)]


def test_a_trial_of_another_driver_that_died_goes_on_in_the_run_that_it_has(ready):
    controller = lived(ready)
    living = tracker_at(ready, controller)
    living._opened()  # knows what was shown before the other driver
    show_all(ready, controller, "KILLED")
    living.update(controller.record.trial(3))
    living._flush()
    controller.tell(3, TrialOutcome("FAIL", "diverged"))
    living.update(controller.record.trial(3))
    living.close("FINISHED", {}, {})
    assert living.error == ""
    assert seen(ready)[3] == ("FAILED", "FAIL", "diverged")  # and no trial has two runs


def test_a_trial_that_another_driver_had_meanwhile_is_shown_from_where_that_one_stopped(ready):
    controller = lived(ready)
    mine, other = tracker_at(ready, controller), tracker_at(ready, controller)
    controller.retry(3, "its worker process died")
    for epoch, tracker in ((1, mine), (2, other), (3, mine)):
        if epoch > 1:
            controller.ask()
            controller.report(3, epoch_result(epoch, 0.3))
            controller.retry(3, "its worker process died")
        tracker.update(controller.record.trial(3))
        tracker._flush()
    views, _ = shown(ready)
    client = connect(f"sqlite:///{ready / 'mlflow.db'}")
    history = client.get_metric_history(views[3].info.run_id, "valid_robust")
    assert [metric.step for metric in history] == [1, 2, 3]


def test_a_run_that_a_kill_left_without_parameters_gets_them(ready):
    controller = lived(ready)
    tracker = tracker_at(ready, controller)
    experiment = tracker._opened()
    experiment._create(controller.record.trial(1))  # and a kill
    show_all(ready, controller)
    views, _ = shown(ready)
    searched = controller.record.trial(1).params
    assert set(views[1].data.params) == set(views[2].data.params) > set(searched)
    client = connect(f"sqlite:///{ready / 'mlflow.db'}")
    assert [f.path for f in client.list_artifacts(views[1].info.run_id)] == ["config.yaml"]


def test_of_two_summaries_that_drivers_began_at_once_the_first_stays(ready, monkeypatch):
    controller = lived(ready)
    show_all(ready, controller)
    _, (first,) = shown(ready)
    late = tracker_at(ready, controller)._opened()
    search, calls = late._search, []

    def blind(condition):
        calls.append(condition)
        found = search(condition)
        return [] if "summary" in condition and len(calls) == 2 else found

    monkeypatch.setattr(late, "_search", blind)
    late.find()
    _, summaries = shown(ready)
    assert [run.info.run_id for run in summaries] == [first.info.run_id] == [late._summary]


def test_a_database_that_was_thrown_away_is_rebuilt_from_the_study(tmp_path):
    controller = lived(tmp_path)
    show_all(tmp_path, controller)
    anew = tmp_path / "anew"  # MLflow holds a file that it opened for as long as the process lives
    anew.mkdir()
    assert show_all(anew, controller).error == ""
    assert seen(anew) == seen(tmp_path)


def test_an_experiment_that_was_deleted_by_hand_comes_back(ready):
    controller = lived(ready)
    show_all(ready, controller)
    client = connect(f"sqlite:///{ready / 'mlflow.db'}")
    client.delete_experiment(client.get_experiment_by_name("wamr-digits").experiment_id)
    assert show_all(ready, controller).error == ""
    assert len(seen(ready)) == 4


def test_a_view_that_cannot_be_written_is_told_and_made_right_later(tmp_path):
    controller = lived(tmp_path)
    (tmp_path / "mlflow.db").mkdir()
    tracker = show_all(tmp_path, controller)
    assert tracker.error and "\n" not in tracker.error
    (tmp_path / "mlflow.db").rmdir()
    assert show_all(tmp_path, controller).error == ""
    assert len(seen(tmp_path)) == 4


def test_the_configuration_that_ran_is_an_artifact_of_its_run(tmp_path):
    controller = lived(tmp_path)
    show_all(tmp_path, controller)
    views, _ = shown(tmp_path)
    place = Path(views[0].info.artifact_uri.removeprefix("file://"))
    config = yaml.safe_load((place / "config.yaml").read_text())
    assert config == controller.record.trial(0).config


def test_readers_do_not_wait_for_the_writer(tmp_path):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    check_uri(uri)
    assert list(tmp_path.iterdir()) == []
    connect(uri)
    with sqlite3.connect(tmp_path / "mlflow.db") as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("uri", ["", "mlruns", "file:///tmp/mlruns", "./x"])
def test_a_uri_of_another_kind_is_refused(uri):
    with pytest.raises(InputError, match="--tracking-uri: must be"):
        check_uri(uri)


def test_what_changed_is_shown_as_it_was_drained_and_in_its_latest_state(ready):
    controller = controller_at(ready, trials=2)
    tracker = tracker_at(ready, controller)
    request = controller.ask()
    for epoch in range(1, 5):
        outcome = controller.report(request.number, epoch_result(epoch, 0.1 * epoch))
        for trial in controller.drain_changes():
            tracker.update(trial)
    controller.tell(request.number, outcome)
    controller.ask()
    for trial in controller.drain_changes():
        tracker.update(trial)
    tracker.close("KILLED", {"trials_COMPLETE": 1}, {})
    assert tracker.error == ""
    assert {n: state for n, (_, state, _) in seen(ready).items()} == {
        0: "COMPLETE",
        1: "RUNNING",
    }
    views, (summary,) = shown(ready)
    client = connect(f"sqlite:///{ready / 'mlflow.db'}")
    history = client.get_metric_history(views[0].info.run_id, "valid_robust")
    assert [metric.step for metric in history] == [1, 2, 3, 4]
    assert views[0].data.metrics["final_robust"] == 0.4
    assert summary.data.metrics == {"trials_COMPLETE": 1.0} and summary.info.status == "KILLED"
