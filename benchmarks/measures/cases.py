"""Trainings whose speed is measured: networks, batches, losses, and images that cost nothing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.reference import PlainTraining
from regmix.config import TrainConfig
from regmix.engine import Engine
from regmix.images import Images, Split
from regmix.training.trainer import RegMixTrainer

ALL_OFF = Engine(bucket=1, folded=False, channels_last=False, flat=False, look_every=1)
LOSSES: dict[str, dict[str, float]] = {
    "wamr": {"alpha": 1.0, "beta": 0.3, "gamma": 0.0},
    "regmix": {"alpha": 1.0, "beta": 0.3, "gamma": 0.3},
}
_CIFAR = (3, 32, 32)


@dataclass(frozen=True)
class Case:
    """A network, its images and its batch."""

    name: str
    model: Mapping[str, object]  # flat values
    shape: tuple[int, int, int]
    batch: int
    epsilon: float = 8 / 255

    def config(self, loss: str, **changes: object) -> TrainConfig:
        """Return its run with one of `LOSSES`."""
        flat: dict[str, object] = {
            **{"data": "digits", "attack": "fgsm", "loss": "regmix", **LOSSES[loss]},
            **{"eval_epsilon": self.epsilon, "batch_size": self.batch, "lr": 0.01, "epochs": 1},
            **self.model,
            **changes,
        }
        return TrainConfig.from_flat(flat)


DIGITS = Case("digits, small_cnn", {"model": "small_cnn"}, (1, 8, 8), 32, 0.25)
SMALL = Case("CIFAR, small_cnn", {"model": "small_cnn"}, _CIFAR, 128)


def residual(name: str, batch: int) -> Case:
    """Return one of the residual networks on images of CIFAR's shape."""
    return Case(f"CIFAR, {name}", {"model": name}, _CIFAR, batch)


def cases(card: bool) -> list[Case]:
    """Return the cases of a card, or those that one core can do."""
    batch = 128 if card else 32
    return [DIGITS, SMALL, residual("resnet18", batch), residual("preactresnet18", batch)]


def random_images(shape: tuple[int, int, int], count: int, classes: int = 10) -> Images:
    """Return noise with labels, the same for the same arguments."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, *shape), dtype=np.uint8)
    labels = generator.integers(0, classes, count, dtype=np.int64)
    return Images(pixels, labels, tuple(map(str, range(classes))))


class Batches:
    """Endless batches of one size in a random order, on the images' device."""

    def __init__(self, count: int, size: int, device: torch.device) -> None:
        """Shuffle `count` images, and cut them into batches of `size`."""
        order = torch.randperm(count, generator=torch.Generator().manual_seed(0)).to(device)
        self._batches = order[: count - count % size].split(size)
        self._next = 0

    def next(self) -> torch.Tensor:
        """Return the indices (size,) of a batch."""
        self._next += 1
        return self._batches[self._next % len(self._batches)]


def ours(config: TrainConfig, data: Images, device: torch.device, engine: Engine) -> Any:  # noqa: ANN401
    """Return a step of the engine's, as a call without arguments."""
    few = data.take(np.arange(min(32, len(data))))
    trainer = RegMixTrainer(config, Split(data, few), device, engine=engine)
    batches = Batches(len(data), config.batch_size, device)
    return lambda: trainer.train_batch(batches.next())


def plain(config: TrainConfig, data: Images, device: torch.device) -> Any:  # noqa: ANN401
    """Return a step of the plain implementation, as a call without arguments."""
    training = PlainTraining(config, data, device)
    batches = Batches(len(data), config.batch_size, device)
    return lambda: training.step(batches.next())
