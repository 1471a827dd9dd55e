"""One trial inside a worker: a configuration, a trainer, and its epochs with their checkpoints."""

import gc
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from pipeline.base.paths import DISK_ERRORS
from pipeline.execution.checkpoints import CheckpointWriter
from pipeline.execution.messages import TrialFailure, WorkerRequest
from pipeline.trial_files import BEST_WEIGHTS, CHECKPOINT, WEIGHTS, TrialFiles, open_files
from regmix.config import TrainConfig
from regmix.device import device
from regmix.errors import NonFiniteError, first_line, of_memory
from regmix.images import Split
from regmix.placed import PlacedSplit
from regmix.progress import Phase, Progress, unheard
from regmix.training import checkpoint
from regmix.training.metrics import EpochMetrics
from regmix.training.trainer import RegMixTrainer


class Worker:
    """Runs one trial after the other; nothing of one is left to the next."""

    def __init__(self, data: Split, threads: int) -> None:
        """Keep the study's images, and compute with so many threads."""
        torch.set_num_threads(threads)
        self._data: Split | PlacedSplit = data

    def begin(self, request: WorkerRequest, progress: Progress = unheard) -> "TrialRun":
        """Return a trial at its beginning, or as its last checkpoint has it.

        Args:
            request: the trial.
            progress: hears in which phase it is.
        """
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # so that a small trial doesn't keep a large one's memory
        config = TrainConfig.from_flat(request.config)
        if isinstance(self._data, Split):  # once, but where a lack of memory is a trial's failure
            self._data = PlacedSplit.of(self._data, device())
        return TrialRun(RegMixTrainer(config, self._data, device()), request, progress)


class TrialRun:
    """One trial: its epochs, and the checkpoint that lies behind them.

    Study and checkpoint may each know more epochs than the other. What the checkpoint alone knows
    is told without being trained; what the study alone knows is trained again and told too, so that
    the driver can compare the two; it doesn't count twice.
    """

    def __init__(
        self, trainer: RegMixTrainer, request: WorkerRequest, progress: Progress = unheard
    ) -> None:
        """Take up the checkpoint, if there is a sound one.

        Args:
            trainer: trainer of the trial's configuration, at its beginning.
            request: the trial.
            progress: hears in which phase the trial is.
        """
        self._trainer, self._request, self._progress = trainer, request, progress
        self._files = open_files(request.files_uri)
        self._history: list[dict[str, Any]] = []
        content = self._files.read(request.number, CHECKPOINT)
        state = None if content is None else checkpoint.unpack(content)
        del content
        if state is not None:
            self._history = state["history"]
            if state["trainer"] is not None:
                trainer.load_state_dict(state["trainer"])
        self._begun, self._due = len(self._history), False  # epochs in the last checkpoint
        self._writer = CheckpointWriter(self._files, request.number, request.checkpoint_seconds)

    @property
    def unsaved(self) -> bool:
        """Whether finished epochs are in no checkpoint, and go into none when the trial goes on."""
        return self._begun < len(self._history) and not self._due

    def epochs(self) -> Iterator[EpochMetrics]:
        """Yield the epochs that study or checkpoint lack, each when no file is being written.

        A checkpoint that is due is begun when the caller goes on: a trial that is stopped with its
        epoch needs none.
        """
        try:
            for known in self._history[self._request.resume_epoch :]:  # a kill came before
                yield EpochMetrics.from_dict(known)
            if len(self._history) < self._request.epochs:
                yield from self._trained()
        finally:
            self._writer.close()

    def _trained(self) -> Iterator[EpochMetrics]:
        for metrics in self._trainer.epochs(progress=self._progress):
            self._history.append(asdict(metrics))
            self._progress(Phase("saving"))
            self._writer.finish()
            ended = metrics.epoch == self._request.epochs
            if ended:
                self._end()
            self._due = not ended and self._writer.due(metrics.seconds)
            yield metrics
            if self._due:
                self._begin(self._trainer.state_dict())

    def save(self) -> None:
        """Write what is in no checkpoint, and wait for it; call it between two epochs."""
        if self._begun < len(self._history):
            self._begin(self._trainer.state_dict())
        self._writer.finish()

    def _begin(self, trainer: dict[str, Any] | None) -> None:
        self._begun, self._due = len(self._history), False
        self._writer.begin({"trainer": trainer, "history": self._history})

    def _end(self) -> None:
        """Write the averaged weights, and the best ones where they are of an earlier epoch.

        The checkpoint holds the epochs alone then: a kill may have them told again, not trained.
        """
        trainer, number = self._trainer, self._request.number
        _write(self._files, number, WEIGHTS, trainer.average.model.state_dict())
        best = trainer.monitor.earlier_best(trainer.epoch)
        if best is not None:
            _write(self._files, number, BEST_WEIGHTS, best)
        self._begin(None)
        self._writer.finish()


def _write(files: TrialFiles, number: int, name: str, weights: dict[str, Tensor]) -> None:
    content = checkpoint.pack_weights(weights)
    files.write(number, name, lambda stream: stream.write(content))


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
