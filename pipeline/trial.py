"""One trial on a worker: from a request to a configuration, a trainer, and its epochs."""

import gc
import traceback
from collections.abc import Iterator
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Any

import torch
from ray import tune

from regmix import checkpoint
from regmix.config import TrainConfig
from regmix.images import Images, Split, split
from regmix.metrics import EpochMetrics
from regmix.trainer import NonFiniteLossError, RegMixTrainer

WEIGHTS, CHECKPOINT = "weights.safetensors", "checkpoint.pt"


def device() -> torch.device:
    """Return the accelerator that this process was given, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def trial_folder(study_folder: Path, number: int) -> Path:
    """Return where a trial keeps its files."""
    return study_folder / "trials" / f"{number:04d}"


class TrialActor(tune.Trainable):
    """A Ray actor that runs one trial after the other; nothing of one is left to the next.

    A failure is a result like any other: the actor lives on, and the driver gets the reason.
    """

    def setup(self, config: dict[str, Any], images: Images) -> None:  # type: ignore[override]
        """Begin the first trial; `images` is the data set's training part, shared by Ray."""
        torch.set_num_threads(config["threads"])
        torch.backends.cudnn.benchmark = True
        self._all_images, self._splits = images, dict[str, Split]()
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin another trial in the same process."""
        self._epochs: Iterator[EpochMetrics] | None = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()  # so that a small trial doesn't keep a large one's memory
        self._request = new_config
        return True

    def step(self) -> dict[str, Any]:
        """Run one epoch; return its metrics, or why there are none."""
        try:
            if self._epochs is None:
                self._epochs = self._run()
            metrics = next(self._epochs)
        except NonFiniteLossError as error:
            return {"failure": f"diverged: {error}", "done": True}
        except torch.OutOfMemoryError as error:
            return {"failure": f"out of memory: {str(error).splitlines()[0]}", "done": True}
        except Exception as error:  # a bug: the driver shows it and the study goes on
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            return {"failure": reason, "traceback": traceback.format_exc(), "done": True}
        return {"metrics": astuple(metrics), "done": metrics.epoch == self._total}

    def _run(self) -> Iterator[EpochMetrics]:
        """Yield every epoch that the study does not know, after a checkpoint of it is safe."""
        folder = Path(self._request["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        config = TrainConfig.from_flat(self._request["config"])
        self._total = config.epochs
        trainer = RegMixTrainer(config, self._split(config), device())
        history: list[dict[str, Any]] = []
        state = checkpoint.load(folder / CHECKPOINT)
        if state is not None:
            trainer.load_state_dict(state["trainer"])
            history = state["history"]
        for known in history[self._request["reported"] :]:
            yield EpochMetrics(**known)
        for metrics in trainer.epochs():
            history.append(asdict(metrics))
            if metrics.epoch == config.epochs:
                checkpoint.save_weights(trainer.average.model.state_dict(), folder / WEIGHTS)
            checkpoint.save(
                {"trainer": trainer.state_dict(), "history": history}, folder / CHECKPOINT
            )
            yield metrics

    def _split(self, config: TrainConfig) -> Split:
        key = f"{config.valid_images} {config.train_images} {config.split_seed}"
        if key not in self._splits:
            self._splits[key] = split(
                self._all_images,
                valid=config.valid_images,
                train=config.train_images,
                seed=config.split_seed,
            )
        return self._splits[key]

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Keep nothing by way of Ray: checkpoints lie in the study's folder."""

    def load_checkpoint(self, checkpoint: Any) -> None:  # noqa: ANN401
        """Load nothing by way of Ray."""
