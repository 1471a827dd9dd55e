"""Where and how long a part of the benchmark measures."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

Row = dict[str, Any]


@dataclass(frozen=True)
class Setting:
    """What all parts are told.

    device: what is measured.
    data_dir: folder with train/ and test/ class folders; None for random images and digits.
    against: folder of another checkout; None for no comparison.
    threshold: robust accuracy that a training is to reach, in [0, 1].
    """

    device: torch.device
    data_dir: str | None = None
    against: Path | None = None
    threshold: float = 0.45

    @property
    def card(self) -> bool:
        """Whether a CUDA card is measured, and not the CPU in small."""
        return self.device.type == "cuda"


@dataclass
class Budget:
    """Wall seconds that a part may take."""

    seconds: float
    begun: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        """Seconds until the end; below 0 after it."""
        return self.begun + self.seconds - time.monotonic()

    def share(self, count: int) -> "Budget":
        """Return an equal share of what is left for each of `count`, at least 1."""
        return Budget(max(self.left, 0.0) / max(count, 1))


Part = Callable[[Setting, Budget], Iterator[Row]]


def skipped(what: str, why: str) -> Row:
    """Return the row that stands for what was not measured."""
    return {"skipped": what, "why": why}
