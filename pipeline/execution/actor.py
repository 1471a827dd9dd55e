"""The Ray actor that runs trials. Torch is imported in the worker alone, never in the driver."""

import json
import traceback
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ray import tune

from regmix.images import Images
from regmix.training.metrics import EpochMetrics


class TrialActor(tune.Trainable):
    """Gives Ray one epoch a step.

    A failure is a result like any other: the actor lives on, and the driver gets the reason.
    """

    def setup(self, config: dict[str, Any], images: Images) -> None:  # type: ignore[override]
        """Begin the first trial; `images` is the data set's training part, shared by Ray."""
        from pipeline.execution.worker import Worker

        self._worker = Worker(images, config["threads"])
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same process."""
        self._epochs: Iterator[EpochMetrics] | None = None
        self._request = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Run one epoch; return its metrics, or why there are none."""
        from pipeline.execution.worker import failure
        from regmix.device import machine

        try:
            if self._epochs is None:
                self._epochs = self._worker.begin(self._request)
            metrics = next(self._epochs)
        except Exception as error:
            self._epochs = None
            try:
                kind, reason = failure(error)
            except OSError as disk:
                return {"disk": (disk.errno, str(disk.filename or "")), "done": True}
            trace = traceback.format_exc() if kind == "bug" else ""
            return {"failure": reason, "kind": kind, "traceback": trace, "done": True}
        return {
            "metrics": json.dumps(asdict(metrics)),  # as text: Ray would take it apart
            "machine": tuple(machine().items()),
            "done": metrics.epoch == self._request["config"]["epochs"],
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Keep nothing by way of Ray: checkpoints lie in the study's folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:  # noqa: ANN401
        """Load nothing by way of Ray."""
