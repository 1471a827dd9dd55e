"""The Ray actor that runs trials; it imports torch when it begins: the driver loads this too."""

import gc
import socket
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ray import tune

from pipeline.base.paths import ROOT
from pipeline.execution.messages import (
    DiskFailure,
    OtherCode,
    Reply,
    TrialFailure,
    WorkerRequest,
)
from pipeline.problem.environment import CODE_DIGEST, versions
from pipeline.study.events import CardMemory, EpochResult
from regmix.images import Split
from regmix.plugins import Plugins, install
from regmix.training.metrics import EpochMetrics

if TYPE_CHECKING:
    from pipeline.execution.worker import TrialRun


class TrialActor(tune.Trainable):
    """Gives Ray one epoch a step.

    A failure is a reply like any other: the actor lives on, and the driver gets the reason.
    """

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], data: Split, plugins: Plugins | None, code: str
    ) -> None:
        """Begin the first trial, if this process runs the driver's code.

        Args:
            config: holds the `WorkerRequest`.
            data: images to train on and to compare by, in memory that Ray shares.
            plugins: variants outside of the tool, if any.
            code: digest of the driver's code.
        """
        self._refusal: OtherCode | None = None
        self.reset_config(config)
        if code != CODE_DIGEST:
            self._refusal = OtherCode(socket.gethostname(), str(ROOT), CODE_DIGEST)
            return
        if plugins is not None:
            install(plugins)
        from pipeline.execution.phases import PhaseTeller
        from pipeline.execution.worker import Worker

        self._worker, self._phases = Worker(data, self._request.threads), PhaseTeller()
        gc.freeze()  # what is loaded stays: looking through it would cost each trial 0.13 s of CPU

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same process."""
        self._run: TrialRun | None = None
        self._epochs: Iterator[EpochMetrics] = iter(())
        self._request: WorkerRequest = new_config["request"]
        return True

    def step(self) -> dict[str, Any]:
        """Run one epoch; return the `Reply`, whether it is the last one, and `unsaved`.

        That is whether there is finished work that `save` alone would write.
        """
        reply = self._reply()
        goes_on = isinstance(reply, EpochResult) and reply.metrics.epoch < self._request.epochs
        unsaved = self._run is not None and self._run.unsaved
        return {"reply": reply, "done": not goes_on, "unsaved": unsaved}

    def _reply(self) -> Reply:
        if self._refusal is not None:
            return self._refusal
        from regmix.device import machine, memory

        try:
            if self._run is None:
                progress = self._phases.of(self._request.number)
                self._run = self._worker.begin(self._request, progress)
                self._epochs = self._run.epochs()
            metrics, taken = next(self._epochs), memory()
            used = None if taken is None else CardMemory(*taken)
            return EpochResult(metrics, machine(), versions(), used)
        except Exception as error:
            self._run, self._epochs = None, iter(())
            self._phases.rest()
            return _failure(error)

    def keep(self) -> TrialFailure | DiskFailure | None:
        """Write what no checkpoint has, since the session ends; Ray calls it between two steps.

        Returns:
            None where it is written, or there is nothing to write.
        """
        try:
            if self._run is not None:
                self._run.save()
        except Exception as error:
            return _failure(error)
        return None

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Keep nothing by way of Ray: checkpoints are files of the study."""

    def load_checkpoint(self, checkpoint: Any) -> None:  # noqa: ANN401
        """Load nothing by way of Ray."""


def _failure(error: Exception) -> TrialFailure | DiskFailure:
    from pipeline.execution.worker import failure

    try:
        return failure(error, traceback.format_exc())
    except OSError as disk:
        return DiskFailure(disk.errno or 0, str(disk.filename or ""))
