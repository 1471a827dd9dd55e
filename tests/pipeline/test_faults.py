"""What breaks around a search: each fault leaves a search that goes on, or that the same command
continues to the study that it would have been."""

import shutil
import sqlite3
import subprocess

import pytest

from tests.support.killing import arguments, check, counting, halve, kill, resume
from tests.support.processes import call, line_of, next_trial, run, start
from tests.support.studies import agree, search_arguments, states


@pytest.mark.process(seconds=55)
def test_a_killed_driver_cut_files_a_killed_worker_and_a_killed_raylet_leave_the_same_study(
    tmp_path, undisturbed
):
    first = start("search", *arguments(tmp_path), environment=counting(tmp_path))
    next_trial(first)
    assert kill(first, "driver")
    first.communicate()
    halve(tmp_path)

    second = start("search", *arguments(tmp_path), environment=counting(tmp_path))
    line_of(second, "continuing wamr-digits")
    next_trial(second)
    assert kill(second, "ray::ResourceTrainable")  # within an epoch, so that it has a trial
    next_trial(second)  # a search outlives its workers
    assert kill(second, "raylet")  # what it started may live on
    out, err = second.communicate(timeout=300)
    printed = resume(tmp_path, second.returncode, out + err)
    check(tmp_path, printed, undisturbed, repeated=8)  # a cut checkpoint begins anew
    assert ["its worker process died"] in [t.retries for t in states(tmp_path).values()]


@pytest.mark.process(seconds=8)
def test_a_trial_that_does_not_fit_into_memory_is_tried_twice_and_fails_with_its_reason(
    tmp_path, cluster
):
    typed = ["--recipe", "digits", "--runs", tmp_path, "--trials", 5, "--no-confirm", *cluster]
    typed += ["--concurrency", "1", "--set", "epochs=2", "width=20000", "train_images=50"]
    result = run("search", *typed)
    assert result.code == 1, result.out + result.err
    assert "the first trials all failed" in result.err
    trials = agree(tmp_path, result.out)
    assert {trial.state for trial in trials.values()} == {"FAIL"}
    for trial in trials.values():
        assert trial.retries == ["out of memory"]
        assert trial.reason == "out of memory (2 times)"


@pytest.mark.process(seconds=22)
def test_databases_that_another_program_locks_for_longer_than_sqlite_waits(tmp_path, cluster):
    """SQLite waits for five seconds unless it is told otherwise."""
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    shared = (*cluster, "--concurrency", "1", "--storage", storage, "--pruner", "none")
    typed = search_arguments(tmp_path, *shared, trials=3)
    process = start("search", *typed)
    next_trial(process)
    locks = [sqlite3.connect(tmp_path / name, timeout=60) for name in ("mlflow.db", "study.db")]
    for lock in locks:
        lock.execute("BEGIN EXCLUSIVE")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=12)
    for lock in locks:
        lock.close()
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    trials = states(tmp_path, storage=storage)
    assert len(trials) == 3
    assert all(trial.ended for trial in trials.values())
    again = call("search", *typed)
    assert again.code == 0, again.err


def test_what_mlflow_missed_is_shown_by_sync(tmp_path, finished):
    runs, result = finished
    shutil.copytree(runs / "studies", tmp_path / "studies")
    missing = run("search", "--study", "wamr-digits", "--sync", "--runs", tmp_path)
    assert missing.code == 0, missing.err
    assert f"mlflow.db shows all {len(states(tmp_path))} trials of wamr-digits" in missing.out
    agree(tmp_path, result.out)
    nowhere = call("search", "--study", "wamr-digit", "--sync", "--runs", tmp_path)
    assert "unknown study 'wamr-digit'; did you mean 'wamr-digits'?" in nowhere.one_line
    assert "--sync needs --study NAME" in call("search", "--sync").one_line
