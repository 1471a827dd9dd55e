"""What breaks around a search: each fault leaves a search that goes on, or that the same command
continues to the study that it would have been."""

import contextlib
import signal
import sqlite3

import pytest

from tests.pipeline.conftest import next_trial, run, search_arguments, start, states
from tests.pipeline.killing import check, disturbed, halve
from tests.pipeline.test_search_process import agree


@pytest.mark.parametrize("target", ["worker", "raylet"])
def test_a_killed_process_leaves_the_same_study(tmp_path, undisturbed, target):
    hit, printed = disturbed(tmp_path, target, moment=None)
    assert hit
    check(tmp_path, printed, undisturbed)


def test_a_killed_driver_with_its_checkpoints_and_its_journal_cut_leaves_the_same_study(
    tmp_path, undisturbed
):
    hit, printed = disturbed(tmp_path, "driver", moment=None, damage=halve)
    assert hit
    assert "continuing wamr-digits" in printed
    check(tmp_path, printed, undisturbed, repeated=6)  # a cut checkpoint begins anew


def test_a_trial_that_does_not_fit_into_memory_is_tried_twice_and_fails_with_its_reason(tmp_path):
    arguments = ["--recipe", "digits", "--runs", tmp_path, "--trials", 5]
    result = run("search", *arguments, "--set", "epochs=2", "width=20000", "train_images=50")
    assert result.code == 1, result.out + result.err
    assert "the first trials all failed" in result.err
    trials = agree(tmp_path, result.out)
    assert {trial.state.name for trial in trials.values()} == {"FAIL"}
    for trial in trials.values():
        assert trial.user_attrs["retries"] == ["out of memory"]
        assert trial.user_attrs["reason"] == "out of memory (2 times)"


def test_databases_that_another_program_locks_for_half_a_minute(tmp_path):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    arguments = search_arguments(tmp_path, "--storage", storage, trials=6, epochs=6)
    process = start("search", *arguments)
    next_trial(process)
    locks = [sqlite3.connect(tmp_path / name, timeout=60) for name in ("mlflow.db", "study.db")]
    for lock in locks:
        lock.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Exception, match="timed out"):
        process.wait(timeout=30)
    for lock in locks:
        lock.close()
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    import optuna

    study = optuna.load_study(study_name="wamr-digits", storage=storage)
    assert len(study.trials) == 6
    assert all(trial.state.is_finished() for trial in study.trials)
    again = run("search", *arguments)
    assert again.code == 0, again.err


def test_what_mlflow_missed_is_shown_by_sync(tmp_path, finished):
    runs, result = finished
    import shutil

    shutil.copytree(runs / "studies", tmp_path / "studies")
    missing = run("search", "--study", "wamr-digits", "--sync", "--runs", tmp_path)
    assert missing.code == 0, missing.err
    assert f"mlflow.db shows all {len(states(tmp_path))} trials of wamr-digits" in missing.out
    agree(tmp_path, result.out)
    nowhere = run("search", "--study", "wamr-digit", "--sync", "--runs", tmp_path)
    assert "unknown study 'wamr-digit'; did you mean 'wamr-digits'?" in nowhere.one_line
    assert "--sync needs --study NAME" in run("search", "--sync").one_line


def test_files_that_appear_in_ray_s_scratch_while_it_is_removed_are_no_error(tmp_path):
    """Ray's workers and threads may write there until they have ended."""
    (tmp_path / "tmp").mkdir()
    arguments = search_arguments(tmp_path / "runs", trials=5, epochs=12)
    places = {"TMPDIR": str(tmp_path / "tmp"), "RAY_TMPDIR": "/tmp"}  # sockets have short names
    process = start("search", *arguments, environment=places)
    next_trial(process)
    (scratch,) = (tmp_path / "tmp").glob("regmix-*")
    process.send_signal(signal.SIGTERM)
    while process.poll() is None:
        for name in range(10):
            with contextlib.suppress(OSError):
                (scratch / str(name)).mkdir()
    out, err = process.communicate()
    assert (process.returncode, err) == (130, "")
    assert "the same command continues wamr-digits" in out
