"""One trial inside a worker: a configuration, a trainer, and its epochs with their checkpoints."""

import gc
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch

from pipeline.base.paths import DISK_ERRORS
from pipeline.execution.messages import TrialFailure, WorkerRequest
from pipeline.trial_files import BEST_WEIGHTS, CHECKPOINT, WEIGHTS, TrialFiles, open_files
from regmix.config import TrainConfig
from regmix.device import device
from regmix.errors import NonFiniteError, first_line, of_memory
from regmix.images import Split
from regmix.placed import PlacedSplit
from regmix.training import checkpoint
from regmix.training.metrics import EpochMetrics
from regmix.training.trainer import RegMixTrainer


class Worker:
    """Runs one trial after the other; nothing of one is left to the next."""

    def __init__(self, data: Split, threads: int) -> None:
        """Keep the study's images, and compute with so many threads."""
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark = True
        self._data: Split | PlacedSplit = data

    def begin(self, request: WorkerRequest) -> Iterator[EpochMetrics]:
        """Return the epochs that the study does not know, each after its checkpoint is safe."""
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # so that a small trial doesn't keep a large one's memory
        config = TrainConfig.from_flat(request.config)
        return self._run(config, open_files(request.files_uri), request)

    def _run(
        self, config: TrainConfig, files: TrialFiles, request: WorkerRequest
    ) -> Iterator[EpochMetrics]:
        if isinstance(self._data, Split):  # once, but where a lack of memory is a trial's failure
            self._data = PlacedSplit.of(self._data, device())
        trainer, number = RegMixTrainer(config, self._data, device()), request.number
        history: list[dict[str, Any]] = []
        content = files.read(number, CHECKPOINT)
        state = None if content is None else checkpoint.unpack(content)
        del content
        if state is not None:
            trainer.load_state_dict(state["trainer"])
            history = state["history"]
        for known in history[request.resume_epoch :]:  # a kill came before their report
            yield EpochMetrics.from_dict(known)
        for metrics in trainer.epochs():
            history.append(asdict(metrics))
            if metrics.epoch == config.epochs:
                _write_weights(files, number, trainer)
            whole = {"trainer": trainer.state_dict(), "history": history}
            files.write(number, CHECKPOINT, checkpoint.pack(whole))
            yield metrics


def _write_weights(files: TrialFiles, number: int, trainer: RegMixTrainer) -> None:
    """Write the averaged weights, and the best ones where they are of an earlier epoch."""
    files.write(number, WEIGHTS, checkpoint.pack_weights(trainer.average.model.state_dict()))
    best = trainer.monitor.earlier_best(trainer.epoch)
    if best is not None:
        files.write(number, BEST_WEIGHTS, checkpoint.pack_weights(best))


def failure(error: Exception, trace: str) -> TrialFailure:
    """Return the failure of a trial.

    Args:
        error: the exception.
        trace: its traceback, which is kept for a bug.

    Raises:
        OSError: the error itself where a disk is full: no trial is to blame for that.
    """
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        raise error
    first = first_line(error)
    if isinstance(error, NonFiniteError):
        return TrialFailure("diverged", f"diverged: {first}")
    if of_memory(error):
        return TrialFailure("out of memory", f"out of memory: {first}")
    return TrialFailure("bug", f"{type(error).__name__}: {first}", trace)
