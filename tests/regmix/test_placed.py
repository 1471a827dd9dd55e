"""Images lie in memory once: runs, processes and evaluations read the same bytes."""

import gc
import pickle
import warnings
import weakref

import numpy as np
import pytest
import torch

from pipeline.execution.actor import TrialActor
from pipeline.execution.messages import WorkerRequest
from pipeline.execution.worker import Worker
from pipeline.problem.environment import CODE_DIGEST
from pipeline.problem.problem import SearchProblem
from regmix.data.digits import digits
from regmix.images import Images, Split
from regmix.placed import Placed, PlacedSplit
from regmix.training.trainer import RegMixTrainer

CPU = torch.device("cpu")
SMALL = {"epochs": 1, "train_images": 100, "valid_images": 50, "width": 8}
PROBLEM = SearchProblem.load("wamr", "digits", SMALL)


def as_ray_gives_it(data):
    """Return what a worker reads of Ray's store: arrays in read-only memory that isn't theirs."""
    buffers = []
    content = pickle.dumps(data, protocol=5, buffer_callback=buffers.append)
    held = [memoryview(bytes(buffer.raw())) for buffer in buffers]
    return pickle.loads(content, buffers=held)


@pytest.fixture
def shared():
    config = PROBLEM.config({})
    data = as_ray_gives_it(config.split(digits("train")))
    assert not (data.train.images.flags.owndata or data.train.images.flags.writeable)
    return data


def lies_in(tensor, array):
    begin, end = np.lib.array_utils.byte_bounds(array)
    return begin <= tensor.data_ptr() and tensor.data_ptr() + tensor.nbytes <= end


def test_on_a_cpu_nothing_is_copied_and_nobody_is_warned(shared):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        placed = PlacedSplit.of(shared, CPU)
    for part, images in ((placed.train, shared.train), (placed.valid, shared.valid)):
        assert lies_in(part.images, images.images) and lies_in(part.labels, images.labels)
        assert (len(part), part.classes) == (len(images), images.classes)


def test_all_trials_of_a_worker_train_on_the_same_memory(shared, tmp_path, monkeypatch):
    """Whatever an epoch does, it does not write there: the memory can't be written to."""
    made = []

    class Seen(RegMixTrainer):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr("pipeline.execution.worker.RegMixTrainer", Seen)
    before = digits("train").fingerprint()
    worker = Worker(shared, 1)
    for number, seed in enumerate((0, 1)):
        config = PROBLEM.with_seed(seed).config({})
        request = WorkerRequest(number, config.flat(), 0, str(tmp_path), 1, 60.0)
        assert len(list(worker.begin(request).epochs())) == 1
    first, second = made
    assert lies_in(first.images, shared.train.images) and lies_in(first.labels, shared.train.labels)
    assert first.images.data_ptr() == second.images.data_ptr()
    assert first._validator.images.data_ptr() == second._validator.images.data_ptr()
    assert digits("train").fingerprint() == before
    assert Split(shared.train, shared.valid).nbytes == shared.train.images.nbytes + (
        shared.valid.images.nbytes
    )


def test_a_worker_process_sets_what_it_has_loaded_apart_and_still_lets_go_of_each_trial(
    shared, tmp_path, monkeypatch
):
    frozen, request = [], WorkerRequest(0, PROBLEM.config({}).flat(), 0, str(tmp_path), 1, 60.0)
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(request))
    actor = object.__new__(TrialActor)
    actor.setup({"request": request}, shared, None, CODE_DIGEST)
    assert frozen == [request]  # once in a process, before any trial's objects are there
    trial = actor._worker.begin(request)
    trial.__dict__["itself"] = trial  # a circle, which only a collection ends
    known = weakref.ref(trial)
    del trial
    actor._worker.begin(request)
    assert known() is None and len(frozen) == 1


def test_pixels_are_made_once_and_what_is_placed_stays():
    images = Images(np.arange(8, dtype=np.uint8).reshape(2, 1, 2, 2), np.array([0, 1]), ("a", "b"))
    placed = Placed.of(images, CPU)
    assert Placed.of(placed, CPU) is placed
    assert placed.pixels is placed.pixels
    assert torch.equal(placed.pixels, torch.from_numpy(images.images).float() / 255)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is available here")
def test_on_a_card_a_worker_uploads_its_images_once(shared):
    card = torch.device("cuda")
    placed = PlacedSplit.of(shared, card)
    before = torch.cuda.memory_allocated()
    assert Placed.of(placed.train, card).images.data_ptr() == placed.train.images.data_ptr()
    assert torch.cuda.memory_allocated() == before
    assert placed.train.images.device.type == "cuda"
