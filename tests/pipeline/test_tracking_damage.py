"""A view that somebody damaged, moved or copied says again what the study says: real MLflow."""

import contextlib
import copy
import shutil
import sqlite3
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from pipeline.driver.publish import View, publish
from pipeline.study.events import TrialOutcome
from pipeline.study.records import TrialRecord
from pipeline.study.storage import find_study
from pipeline.tracking import artifacts
from pipeline.tracking.uri import connect, default_uri
from tests.support.controllers import controller_at, epoch_result, finish
from tests.support.processes import call

STUDY = "s"


def searched(runs):
    """A folder with a study that has a trial of each end, one interrupted and one not begun."""
    place = runs / "studies" / STUDY
    place.mkdir(parents=True)
    controller = controller_at(place, trials=6)
    for share in (0.5, 0.4):
        finish(controller, controller.ask(), share)
    for outcome in (TrialOutcome("PRUNED", "rank 2 of 2"), TrialOutcome("FAIL", "diverged")):
        request = controller.ask()
        for epoch in (1, 2):
            controller.report(request.number, epoch_result(epoch, 0.2))
        controller.tell(request.number, outcome)
    controller.report(controller.ask().number, epoch_result(1, 0.3))
    controller.requeue_own()
    controller.record.enqueue({"alpha": 1.0}, "by hand")
    return runs


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Such a folder with its view."""
    runs = searched(tmp_path_factory.mktemp("original") / "runs")
    assert sync(runs).code == 0
    return runs


@pytest.fixture
def runs(original, tmp_path):
    """A copy of it elsewhere."""
    return copied(original, tmp_path / "copy")


def copied(source, target):
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("mlflow.db*"))
    with (
        contextlib.closing(sqlite3.connect(source / "mlflow.db")) as one,
        contextlib.closing(sqlite3.connect(target / "mlflow.db")) as other,
    ):
        one.backup(other)
    return target


def sync(runs, *more):
    return call("search", "--study", STUDY, "--sync", "--runs", runs, *more)


def client_of(runs):
    return connect(default_uri(runs))


def runs_of(runs):
    client = client_of(runs)
    experiment = client.get_experiment_by_name(STUDY)
    return client, client.search_runs([experiment.experiment_id], max_results=1000)


def run_of(runs, number):
    client, found = runs_of(runs)
    return client, next(r for r in found if r.data.tags.get("trial") == str(number))


def summary_of(runs):
    client, found = runs_of(runs)
    return client, next(r for r in found if r.data.tags.get("summary") == "true")


def view_of(runs):
    """All that the view shows, but for MLflow's own ids and times, and the notes with ids in them.

    Of the summary the latest values count: each session adds one.
    """
    client, found = runs_of(runs)
    rows = []
    for run in found:
        info, data = run.info, run.data
        summary = data.tags.get("summary") == "true"
        points = {
            name: sorted((m.step, m.value) for m in client.get_metric_history(info.run_id, name))
            for name in data.metrics
            if not summary
        }
        tags = {k: v for k, v in data.tags.items() if not (summary and k.endswith("content"))}
        files = sorted(file.path for file in client.list_artifacts(info.run_id))
        ended = None if summary or data.tags.get("state") == "WAITING" else info.end_time
        facts = (info.run_name, info.status, ended, data.params, tags, data.metrics, points)
        rows.append(repr((*map(_sorted, facts), files)))
    names = [(e.name, sorted(e.tags)) for e in client.search_experiments()]
    return sorted(rows), sorted(names)


def _sorted(value):
    return sorted(value.items()) if isinstance(value, dict) else value


# Each kind of damage: what a person can do in the page, by a client, or by `mlflow gc`.


def a_run_deleted(runs):
    client, run = run_of(runs, 1)
    client.delete_run(run.info.run_id)


def the_summary_deleted(runs):
    client, run = summary_of(runs)
    client.delete_run(run.info.run_id)


def all_runs_deleted(runs):
    client, found = runs_of(runs)
    for run in found:
        client.delete_run(run.info.run_id)


def the_experiment_deleted(runs):
    client = client_of(runs)
    client.delete_experiment(client.get_experiment_by_name(STUDY).experiment_id)


def deleted_and_made_anew_and_deleted(runs):
    for damage in (a_run_deleted, the_summary_deleted):
        damage(runs)
    assert sync(runs).code == 0
    the_experiment_deleted(runs)


def the_experiment_gone_for_good(runs):
    client = client_of(runs)
    number = client.get_experiment_by_name(STUDY).experiment_id
    client.delete_experiment(number)
    client._tracking_client.store._hard_delete_experiment(number)


def a_run_gone_for_good(runs):
    client, run = run_of(runs, 2)
    client.delete_run(run.info.run_id)
    client._tracking_client.store._hard_delete_run(run.info.run_id)


def the_experiment_renamed(runs):
    client = client_of(runs)
    client.rename_experiment(client.get_experiment_by_name(STUDY).experiment_id, "another name")


def tag(name, text, number=1):
    def damage(runs):
        client, run = run_of(runs, number)
        client.set_tag(run.info.run_id, name, text)

    damage.__name__ = f"tag {name} is {text!r}"
    return damage


def no_tag(name, number=1):
    def damage(runs):
        client, run = run_of(runs, number)
        client.delete_tag(run.info.run_id, name)

    damage.__name__ = f"tag {name} deleted"
    return damage


def the_summary_is_a_trial(runs):
    client, run = summary_of(runs)
    client.set_tag(run.info.run_id, "trial", "0")


def the_summary_has_lost_its_tag(runs):
    client, run = summary_of(runs)
    client.delete_tag(run.info.run_id, "summary")


def a_second_summary(runs):
    client, run = summary_of(runs)
    client.create_run(run.info.experiment_id, tags=run.data.tags)


def a_doubled_run(runs):
    client, run = run_of(runs, 0)
    again = client.create_run(run.info.experiment_id, tags=run.data.tags, start_time=1)
    client.log_metric(again.info.run_id, "valid_robust", 0.99, step=1)


def a_run_of_no_trial(runs):
    client, run = run_of(runs, 0)
    for number in ("99", "5"):  # 5 waits and was never begun
        client.create_run(run.info.experiment_id, tags={**run.data.tags, "trial": number})


def a_wrong_metric(runs):
    client, run = run_of(runs, 0)
    client.log_metric(run.info.run_id, "valid_robust", 0.99, step=2)


def a_metric_beyond_the_end(runs):
    client, run = run_of(runs, 3)
    client.log_metric(run.info.run_id, "valid_robust", 0.99, step=77)
    client.log_metric(run.info.run_id, "final_robust", 0.99)


def a_metric_of_the_summary(runs):
    client, run = summary_of(runs)
    client.log_metric(run.info.run_id, "trials_COMPLETE", 99, step=1000)


def sql(text):
    def damage(runs):
        with contextlib.closing(sqlite3.connect(runs / "mlflow.db")) as base, base:
            base.execute(text)

    damage.__name__ = text
    return damage


def a_parameter_too_many(runs):
    client, run = run_of(runs, 0)
    client.log_param(run.info.run_id, "gamma", "7")


def a_run_renamed(runs):
    client, run = run_of(runs, 4)
    client.update_run(run.info.run_id, name="my favourite")


def a_wrong_status(runs):
    client, run = run_of(runs, 4)
    client.set_terminated(run.info.run_id, "FINISHED")


def the_configuration_removed(runs):
    _, run = run_of(runs, 0)
    for file in (runs / "artifacts").rglob(f"{run.info.run_id}/artifacts/config.yaml"):
        file.unlink()


def the_artifacts_removed(runs):
    shutil.rmtree(runs / "artifacts")


def the_database_removed(runs):
    for file in runs.glob("mlflow.db*"):
        file.unlink()


def the_database_replaced_by_an_older_one(runs):
    """As by a person who restores a copy while MLflow holds the file."""
    copied(runs, runs.parent / "older")
    a_run_of_no_trial(runs.parent / "older")
    the_database_removed(runs)
    shutil.copy(runs.parent / "older" / "mlflow.db", runs / "mlflow.db")


TRIALS = "SELECT run_uuid FROM tags WHERE key = 'trial' AND value = '1'"
AMONG = [
    a_run_deleted,
    the_summary_deleted,
    a_run_gone_for_good,
    tag("trial", "abc"),
    tag("trial", ""),
    tag("trial", "7 "),
    tag("trial", "\u0663"),  # a digit, but of no number that was written
    tag("trial", "0"),
    tag("trial", "-1"),
    tag("summary", "true"),
    tag("state", "RUNNING"),
    tag("reason", "no reason", number=2),
    tag("mlflow.note.content", "edited"),
    no_tag("trial"),
    no_tag("state"),
    the_summary_is_a_trial,
    the_summary_has_lost_its_tag,
    a_second_summary,
    a_doubled_run,
    a_run_of_no_trial,
    a_wrong_metric,
    a_metric_beyond_the_end,
    a_metric_of_the_summary,
    sql(f"DELETE FROM metrics WHERE step = 2 AND run_uuid IN ({TRIALS})"),
    sql(f"DELETE FROM latest_metrics WHERE run_uuid IN ({TRIALS})"),
    sql(f"UPDATE metrics SET value = 0.75 WHERE run_uuid IN ({TRIALS})"),
    sql(f"UPDATE latest_metrics SET value = 0.75 WHERE run_uuid IN ({TRIALS})"),
    sql(f"UPDATE params SET value = '9' WHERE run_uuid IN ({TRIALS})"),
    sql(f"DELETE FROM params WHERE run_uuid IN ({TRIALS})"),
    sql("DELETE FROM tags WHERE key = 'trial'"),
    sql(f"UPDATE runs SET end_time = 5, artifact_uri = 'file:///x' WHERE run_uuid IN ({TRIALS})"),
    sql("UPDATE experiments SET artifact_location = 'file:///nowhere'"),
    sql("DELETE FROM experiment_tags WHERE key = 'mlflow.note.content'"),
    a_parameter_too_many,
    a_run_renamed,
    a_wrong_status,
    the_configuration_removed,
    the_artifacts_removed,
]


ALONE = [  # they would take the others with them
    all_runs_deleted,
    the_experiment_deleted,
    deleted_and_made_anew_and_deleted,
    the_experiment_gone_for_good,
    the_experiment_renamed,
    the_database_removed,
    the_database_replaced_by_an_older_one,
]
GROUPS = [AMONG[start::5] for start in range(5)]


@pytest.mark.parametrize("damage", ALONE, ids=lambda damage: damage.__name__)
def test_whatever_was_damaged_sync_shows_what_the_study_says(runs, original, damage):
    damage(runs)
    healed = sync(runs)
    assert (healed.code, healed.err) == (0, "")
    assert view_of(runs) == view_of(original)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group[0].__name__)
def test_several_damages_at_once_are_made_good_too(runs, original, group):
    for damage in group:  # what one damages may be gone by another
        with contextlib.suppress(StopIteration, OSError, MlflowException):
            damage(runs)
    assert view_of(runs) != view_of(original)
    assert sync(runs).code == 0
    assert view_of(runs) == view_of(original)


def test_a_run_that_a_person_keeps_in_the_experiment_stays(runs):
    client, run = run_of(runs, 0)
    mine = client.create_run(run.info.experiment_id, tags={"mine": "yes", "state": "good"})
    client.log_metric(run.info.run_id, "my own measure", 0.5)
    assert sync(runs).code == 0
    _, after = runs_of(runs)
    assert mine.info.run_id in {run.info.run_id for run in after}
    assert run_of(runs, 0)[1].data.metrics["my own measure"] == 0.5


def test_another_study_of_the_name_does_not_take_over_what_the_first_one_shows(runs):
    before = {run.info.run_id for run in runs_of(runs)[1]}
    shutil.rmtree(runs / "studies")  # as a person does who begins anew
    searched(runs)
    assert sync(runs).code == 0
    client, found = runs_of(runs)
    assert not before & {run.info.run_id for run in found}
    (other,) = [e for e in client.search_experiments() if e.name.startswith(f"{STUDY} (before")]
    assert before == {run.info.run_id for run in client.search_runs([other.experiment_id])}


@pytest.mark.parametrize("name", ["moved", "a b?c#d%41 'e' \"f\" $HOME ü", "what?x=1", ":memory:"])
def test_a_folder_that_was_moved_shows_and_keeps_its_files_where_it_is(original, tmp_path, name):
    before = sorted(path.stat().st_mtime_ns for path in original.rglob("*.yaml"))
    runs = copied(original, tmp_path / name)
    the_configuration_removed(runs)
    assert sync(runs).code == 0
    assert view_of(runs) == view_of(original)
    client, found = runs_of(runs)
    for run in found:
        place = (runs / "artifacts" / STUDY / run.info.run_id / "artifacts").as_uri()
        assert run.info.artifact_uri == place
        for file in client.list_artifacts(run.info.run_id):
            assert client.download_artifacts(run.info.run_id, file.path, str(tmp_path))
    assert sorted(path.stat().st_mtime_ns for path in original.rglob("*.yaml")) == before
    assert {path.name for path in tmp_path.iterdir()} >= {name}
    assert (runs / "mlflow.db").is_file()


def test_the_page_finds_the_files_of_a_copy_but_not_those_that_lie_elsewhere_on_purpose(
    original, tmp_path
):
    runs = copied(original, tmp_path / "what?x=1")
    client = client_of(runs)
    client.create_experiment("elsewhere", artifact_location=(tmp_path / "far").as_uri())
    client.create_experiment("not ours", artifact_location=(tmp_path / STUDY).as_uri())
    artifacts.follow(runs / "mlflow.db")
    places = {e.name: e.artifact_location for e in client.search_experiments()}
    assert places[STUDY] == (runs / "artifacts" / STUDY).as_uri()
    assert places["elsewhere"] == (tmp_path / "far").as_uri()
    assert places["not ours"] == (tmp_path / STUDY).as_uri()


def test_what_a_trial_becomes_after_it_was_handed_over_is_not_seen_by_the_thread(tmp_path):
    """Optuna's `Trial.report` changes a dict in place that an older trial shares."""
    runs = tmp_path / "runs"
    (runs / "studies" / STUDY).mkdir(parents=True)
    controller = controller_at(runs / "studies" / STUDY, trials=2)
    tracker = View(default_uri(runs), runs, None).tracker(controller.record, shared=False)
    request = controller.ask()
    held = controller.record.trial(request.number)
    tracker.update(held)
    controller.report(request.number, epoch_result(1, 0.5))
    (crossed,) = tracker._pending.values()
    assert crossed.epochs == {} and crossed.last_epoch == 0


def test_an_error_that_was_made_good_is_cleared(tmp_path):
    runs = searched(tmp_path / "runs")
    (runs / "mlflow.db").mkdir()
    study = find_study(STUDY, None, runs / "studies" / STUDY)
    tracker = View(default_uri(runs), runs, None).tracker(study, shared=False)
    tracker.update(study.trial(0))
    with pytest.raises(Exception, match="mlflow.db"):
        tracker._flush()
    tracker.error = "as the thread writes it down"
    (runs / "mlflow.db").rmdir()
    publish(tracker, study, "FINISHED", View(default_uri(runs), runs, None))
    assert tracker.error == ""
    assert len(runs_of(runs)[1]) == 6


def test_a_run_deleted_while_the_search_writes_to_it_is_made_anew(runs):
    study = find_study(STUDY, None, runs / "studies" / STUDY)
    tracker = View(default_uri(runs), runs, None).tracker(study, shared=False)
    tracker._opened()
    client, run = run_of(runs, 4)
    client.delete_run(run.info.run_id)
    trial = copy.deepcopy(study.trial(4))
    trial.frozen.user_attrs["outcome"] = {"epoch": 1, "state": "FAIL", "reason": "x"}
    tracker.update(TrialRecord(trial.frozen))
    with contextlib.suppress(Exception):
        tracker._flush()  # the thread tries again
    tracker._flush()
    assert run_of(runs, 4)[1].info.run_id != run.info.run_id


def test_the_leaderboard_is_plain_text_whatever_the_terminal(runs, monkeypatch):
    client, summary = summary_of(runs)

    def board():
        return Path(
            client.download_artifacts(summary.info.run_id, "leaderboard.txt", str(runs))
        ).read_text()

    assert sync(runs).code == 0
    plain = board()
    for name, value in {
        "FORCE_COLOR": "1",
        "COLUMNS": "40",
        "TTY_COMPATIBLE": "1",
        "TERM": "xterm-256color",
    }.items():
        monkeypatch.setenv(name, value)
    assert sync(runs).code == 0
    assert board() == plain
    assert "\x1b" not in plain and max(map(len, plain.splitlines())) <= 180
