"""Crop and flip of a whole batch on its device, kept so that more can be moved along with it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Crop:
    """Which pixel of the zero-padded image each pixel of a cut comes from."""

    rows: Tensor  # (N, H)
    columns: Tensor  # (N, W), descending where the cut is mirrored

    def take(self, images: Tensor) -> Tensor:
        """Return the cuts (N, C, H, W) of `images` (N, C, H, W), zero outside of them."""
        # with the channels between the indices, the indexed dimensions come first: (N, H, W, C)
        return _pad(images)[self._pixels()].permute(0, 3, 1, 2).contiguous()

    def put(self, cuts: Tensor, images: Tensor) -> Tensor:
        """Return `images` with `cuts` back in their places: the inverse of `take`.

        Pixels of an image outside its cut stay; those of a cut outside the image are lost.
        """
        height, width = images.shape[2:]
        down, right = _margins(images)
        padded = _pad(images)
        padded[self._pixels()] = cuts.permute(0, 2, 3, 1)
        return padded[:, :, down : down + height, right : right + width]

    def _pixels(self) -> tuple[Tensor, slice, Tensor, Tensor]:
        which = torch.arange(len(self.rows), device=self.rows.device)[:, None, None]
        return which, slice(None), self.rows[:, :, None], self.columns[:, None, :]


def crop_flip(images: Tensor, generator: torch.Generator) -> Crop:
    """Pad by an eighth of the size with zeros, cut at random, flip half of the images.

    4 pixels at 32x32, as the CIFAR literature does.

    Args:
        images: (N, C, H, W), for their shape.
        generator: on the images' device.
    """
    count, _, height, width = images.shape
    down, right = _margins(images)
    draw = {"generator": generator, "device": images.device}
    rows = torch.randint(0, 2 * down + 1, (count, 1), **draw) + torch.arange(  # type: ignore[call-overload]
        height, device=images.device
    )
    columns = torch.randint(0, 2 * right + 1, (count, 1), **draw) + torch.arange(  # type: ignore[call-overload]
        width, device=images.device
    )
    flipped = torch.rand((count, 1), **draw) < 0.5  # type: ignore[call-overload]
    return Crop(rows, torch.where(flipped, columns.flip(1), columns))


def _margins(images: Tensor) -> tuple[int, int]:
    return images.shape[2] // 8, images.shape[3] // 8


def _pad(images: Tensor) -> Tensor:
    down, right = _margins(images)
    return F.pad(images, (right, right, down, down))
