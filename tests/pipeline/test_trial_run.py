"""A worker's trial with real files and a real trainer: stops, kills, and disks that refuse."""

import errno
import os
import threading
from itertools import groupby

import pytest

from pipeline.execution.checkpoints import CheckpointWriter
from pipeline.execution.messages import WorkerRequest
from pipeline.execution.worker import Worker
from pipeline.trial_files import CHECKPOINT, WEIGHTS, open_files
from pipeline.trial_files.disk import DiskFiles
from regmix.config import TrainConfig
from regmix.data.digits import digits
from regmix.training import checkpoint
from tests.support.regmix.epochs import timeless

EPOCHS, NUMBER = 4, 3
SETTINGS = {
    "attack": "fgsm", "loss": "regmix", "model": "small_cnn", "width": 4, "epochs": EPOCHS,
    "data": "digits", "train_images": 40, "valid_images": 10, "batch_size": 20, "eval_steps": 2,
    "reset_interval": 3,
}  # fmt: skip
CONFIG = TrainConfig.from_flat(SETTINGS)
NEVER, ALWAYS = 1e9, 0.0


@pytest.fixture(scope="module")
def worker():
    return Worker(CONFIG.split(digits("train")), threads=1)


@pytest.fixture(scope="module")
def whole(worker, tmp_path_factory):
    """What the trial comes to where nothing befalls it."""
    request = WorkerRequest(NUMBER, CONFIG.flat(), 0, str(tmp_path_factory.mktemp("a")), 1, NEVER)
    return timeless(worker.begin(request).epochs())


@pytest.fixture
def request_of(tmp_path):
    def build(known=0, seconds=ALWAYS):
        return WorkerRequest(NUMBER, CONFIG.flat(), known, str(tmp_path / "files"), 1, seconds)

    return build


@pytest.fixture
def files(tmp_path):
    return open_files(str(tmp_path / "files"))


def written(files):
    """Return the numbers of the epochs in the checkpoint."""
    content = files.read(NUMBER, CHECKPOINT)
    state = None if content is None else checkpoint.unpack(content)
    return [] if state is None else [metrics["epoch"] for metrics in state["history"]]


def trained(run, epochs):
    """Train so many epochs, as a driver asks for them, and leave it there."""
    told = run.epochs()
    return told, timeless(next(told) for _ in range(epochs))


def test_a_trial_tells_its_phases_in_order_and_comes_to_the_same(worker, whole, request_of):
    heard = []
    assert timeless(worker.begin(request_of(seconds=NEVER), heard.append).epochs()) == whole
    names = [(phase.name, phase.now) for phase in heard]
    expected = []
    for epoch in range(1, EPOCHS + 1):
        expected += [("training", epoch), ("validating", epoch)]
        expected += [("judging", now) for now in (1, 2, 3)] * (epoch == EPOCHS) + [("saving", 0)]
    assert [name for name, _ in groupby(names)] == expected
    shares = [phase.share for phase in heard if phase.name == "training"]
    assert shares == [0.0, 0.5] * EPOCHS  # two batches
    assert {phase.of for phase in heard if phase.name == "judging"} == {3}


@pytest.mark.parametrize("saved", [0, 1, 2, 3])
@pytest.mark.parametrize("known", [0, 1, 2, 3])
def test_whatever_checkpoint_and_study_know_of_each_other_the_rest_is_the_same(
    worker, whole, request_of, saved, known
):
    killed = worker.begin(request_of(seconds=NEVER))
    if saved:
        left = trained(killed, saved)
        killed.save()
        del left
    told = timeless(worker.begin(request_of(known)).epochs())
    begins = min(saved, known)  # what the checkpoint lacks is trained again
    assert told == whole[begins:]
    repeated = [metrics.epoch for metrics in told if metrics.epoch <= known]
    assert repeated == list(range(saved + 1, known + 1))


def test_the_last_epoch_can_be_told_again_and_is_not_trained_again(
    worker, whole, request_of, files, monkeypatch
):
    list(worker.begin(request_of()).epochs())
    size = len(files.read(NUMBER, CHECKPOINT))
    assert size < len(files.read(NUMBER, WEIGHTS))  # the epochs alone
    monkeypatch.setattr("regmix.training.trainer.RegMixTrainer.epochs", None)
    assert timeless(worker.begin(request_of(2)).epochs()) == whole[2:]


def test_a_checkpoint_is_written_when_its_trial_goes_on_and_while_nothing_is_told(
    worker, request_of, files
):
    run = worker.begin(request_of())
    told = run.epochs()
    for epoch in range(1, EPOCHS):
        assert next(told).epoch == epoch
        assert written(files) == list(range(1, epoch))  # the one before, and it is whole
        assert not run.unsaved
    told.close()  # stopped with its last epoch: it needs no checkpoint
    assert written(files) == list(range(1, EPOCHS - 1))


def writing():
    """Return the threads that write checkpoints."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("checkpoint")}


def test_by_the_clock_a_stop_writes_what_is_missing_once(worker, request_of, files, monkeypatch):
    run = worker.begin(request_of(seconds=NEVER))
    run.save()  # nothing is trained yet
    told, _ = trained(run, 2)
    assert written(files) == [] and run.unsaved
    run.save()
    assert written(files) == [1, 2] and not run.unsaved
    monkeypatch.setattr(DiskFiles, "write", None)
    run.save()
    told.close()


def test_what_is_due_is_written_by_a_stop_too(worker, request_of, files):
    run = worker.begin(request_of())
    told, _ = trained(run, 1)
    assert written(files) == []
    run.save()
    assert written(files) == [1]
    assert next(told).epoch == 2
    told.close()


def test_a_disk_that_refuses_is_told_in_place_of_the_next_epoch_and_by_a_stop(
    worker, request_of, files, monkeypatch
):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    run = worker.begin(request_of())
    told, _ = trained(run, 2)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        next(told)
    assert written(files) == [1]  # the old one is whole
    assert list(told) == []
    run = worker.begin(request_of(1))
    told, _ = trained(run, 1)
    with pytest.raises(OSError, match="No space"):
        run.save()
    told.close()


def test_a_failure_of_the_trial_waits_for_the_file_that_is_being_written(
    worker, request_of, files, monkeypatch
):
    others = writing()
    run = worker.begin(request_of())
    told, _ = trained(run, 1)
    monkeypatch.setattr(run._trainer, "_train_epoch", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(told)
    assert writing() == others
    assert written(files) == [1]
    files.remove(NUMBER, CHECKPOINT)
    assert list(files.list()) == []


@pytest.mark.parametrize("cut", [0, 100, -100])
def test_a_damaged_checkpoint_begins_anew(worker, whole, request_of, files, cut):
    trained(worker.begin(request_of()), 2)[0].close()
    content = files.read(NUMBER, CHECKPOINT)[:cut]
    files.write(NUMBER, CHECKPOINT, lambda stream: stream.write(content))
    assert timeless(worker.begin(request_of(2)).epochs()) == whole


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("length", [0.4, 2, 7, 29, 31, 59, 61, 600])
def test_finished_work_that_no_checkpoint_has_never_exceeds_the_limit(tmp_path, length):
    clock = Clock()
    writer = CheckpointWriter(DiskFiles(tmp_path), NUMBER, 60, clock)
    saved, count, epochs = 0.0, 0, int(3600 / length)
    for _ in range(epochs):
        assert clock.now + length - saved <= max(60, length)  # a kill just before the end
        clock.now += length
        if writer.due(length):
            writer.begin({})
            saved, count = clock.now, count + 1
    writer.close()
    assert count <= epochs / max(1, 60 // length) + 1  # and not more often than that takes


def test_what_a_disk_said_of_one_checkpoint_is_told_before_the_next(tmp_path):
    (tmp_path / "0003").touch()  # where the trial's folder should be
    writer = CheckpointWriter(DiskFiles(tmp_path), NUMBER, 60)
    writer.begin({})
    with pytest.raises(FileExistsError):
        writer.begin({})
    writer.begin({})
    with pytest.raises(FileExistsError):
        writer.close()


def test_with_no_limit_at_all_each_epoch_is_due(tmp_path):
    writer = CheckpointWriter(DiskFiles(tmp_path), NUMBER, 0)
    assert writer.due(0.0) and writer.due(5.0)
    writer.close()


def test_a_longer_epoch_than_the_last_may_come_again(tmp_path):
    """Such as one with a whole evaluation: the next may be as long."""
    clock = Clock()
    writer = CheckpointWriter(DiskFiles(tmp_path), NUMBER, 60, clock)
    clock.now = 30
    assert not writer.due(29)
    clock.now = 32
    assert writer.due(2)
    writer.close()
