"""Which files of trials are kept, from real studies and real folders."""

import pytest

from pipeline.study.events import TrialOutcome
from pipeline.study.retention import Retention, files_of
from pipeline.trial_files import BEST_WEIGHTS, CHECKPOINT, WEIGHTS, open_files
from pipeline.trial_files.object_store import StoreUnavailableError
from tests.support.controllers import controller_at, epoch_result, finish
from tests.support.files import holding

ALL = (WEIGHTS, BEST_WEIGHTS, CHECKPOINT)


@pytest.fixture
def controller(tmp_path):
    return controller_at(tmp_path, trials=9)


def left(files):
    found = {}
    for number, name in files.list():
        found.setdefault(number, set()).add(name)
    return found


def train(controller, files, *robust):
    """Train a trial to its end for each accuracy, with every file that a worker writes."""
    for value in robust:
        request = controller.ask()
        for name in ALL:
            files.write(request.number, name, holding(b"x"))
        finish(controller, request, value)


def test_the_best_and_the_default_keep_their_weights_and_nobody_a_checkpoint(controller, tmp_path):
    files = open_files(str(tmp_path / "trials"))
    train(controller, files, 0.1, 0.5, 0.3, 0.4)
    Retention(controller.record, files, keep_best=2).apply()
    weights = {WEIGHTS, BEST_WEIGHTS}
    assert left(files) == {0: weights, 1: weights, 3: weights}  # 0 is the default


def test_what_is_still_to_do_keeps_all_and_what_failed_or_was_pruned_nothing(controller, tmp_path):
    files = open_files(str(tmp_path / "trials"))
    train(controller, files, 0.5)
    requests = [controller.ask() for _ in range(4)]
    for request in requests:
        controller.report(request.number, epoch_result(1, 0.2))
        for name in ALL:
            files.write(request.number, name, holding(b"x"))
    pruned, failed, waiting, running = (request.number for request in requests)
    controller.tell(pruned, TrialOutcome("PRUNED", "rank 2 of 2"))
    controller.tell(failed, TrialOutcome("FAIL", "diverged"))
    controller.retry(waiting, "its worker process died")
    Retention(controller.record, files).apply()
    assert left(files) == {0: {WEIGHTS, BEST_WEIGHTS}, waiting: set(ALL), running: set(ALL)}


def test_files_that_a_worker_may_still_write_wait_for_its_end(controller, tmp_path):
    files = open_files(str(tmp_path / "trials"))
    retention = Retention(controller.record, files, keep_best=1)
    train(controller, files, 0.5, 0.4)
    retention.apply(busy=[1])
    assert left(files) == {0: {WEIGHTS, BEST_WEIGHTS}, 1: set(ALL)}
    retention.apply()
    assert left(files) == {0: {WEIGHTS, BEST_WEIGHTS}}


def test_a_trial_that_violates_a_constraint_keeps_less_than_a_candidate(tmp_path):
    controller = controller_at(tmp_path, trials=9, min_clean=0.8)
    files = open_files(str(tmp_path / "trials"))
    train(controller, files, 0.1)
    for robust, clean in ((0.6, 0.7), (0.4, 0.9)):
        request = controller.ask()
        files.write(request.number, WEIGHTS, holding(b"x"))
        finish(controller, request, robust, clean=clean)
    Retention(controller.record, files, keep_best=1).apply()
    assert left(files).keys() == {0, 2}


def test_halves_that_a_kill_left_go_with_their_trial(controller, tmp_path):
    files = open_files(str(tmp_path / "trials"))
    train(controller, files, 0.5)
    half = tmp_path / "trials" / "0000" / f".{CHECKPOINT}-abc"
    half.write_bytes(b"ha")
    Retention(controller.record, files).apply()
    assert not half.exists()


def test_an_object_store_that_is_away_is_no_reason_to_end_a_search(controller, monkeypatch):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
    nobody = "s3://bucket/x?region=us-east-1&scheme=http&endpoint_override=127.0.0.1:1"
    finish(controller, controller.ask(), 0.5)
    away = open_files(nobody)
    with pytest.raises(StoreUnavailableError):
        list(away.list())
    Retention(controller.record, away).apply()
    assert controller.record.trial(0).state == "COMPLETE"


def test_files_lie_in_the_studys_folder_unless_it_names_a_store(controller, tmp_path):
    study = controller.record
    assert files_of(study, tmp_path).uri == str(tmp_path / "trials")
    study.hold("checkpoints", {"url": "s3://bucket/folder?region=eu-west-1"})
    assert files_of(study, tmp_path).uri == "s3://bucket/folder/s?region=eu-west-1"
