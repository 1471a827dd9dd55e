"""Images on the device of a run: one copy for all runs of a process, none where memory serves."""

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from regmix.images import Images, Split


@dataclass(frozen=True)
class Placed:
    """Images on a device, which every run of a process reads and none writes to.

    images: (N, C, H, W) uint8; labels: (N,) int64; classes: their names by number. On a CPU both
    lie in the memory of the arrays that they were made of, which many processes may share.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]

    @classmethod
    def of(cls, images: "Images | Placed", device: torch.device) -> "Placed":
        """Place images, or return those that are placed."""
        if isinstance(images, Placed):
            return images
        return cls(_shared(images.images, device), _shared(images.labels, device), images.classes)

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def pixels(self) -> Tensor:
        """All images as (N, C, H, W) float32 in [0, 1], made once."""
        return self.images.float() / 255


@dataclass(frozen=True)
class PlacedSplit:
    """A split on a device; see `Split`."""

    train: Placed
    valid: Placed
    further: Placed | None

    @classmethod
    def of(cls, data: Split, device: torch.device) -> "PlacedSplit":
        """Place all parts."""
        further = None if data.further is None else Placed.of(data.further, device)
        return cls(Placed.of(data.train, device), Placed.of(data.valid, device), further)


def _shared(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array's memory as a tensor where the device is the CPU, else a copy there."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array).to(device)
