"""Crop and flip of a whole batch on its device, kept so that more can be moved along with it."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Crop:
    """Rows and columns of the zero-padded images that the pixels of their crops come from."""

    rows: Tensor  # (N, H)
    columns: Tensor  # (N, W), descending where the crop is mirrored

    def take(self, images: Tensor) -> Tensor:
        """Return the crops (N, C, H, W) of `images` (N, C, H, W), zero outside of them.

        Their channels are the last in memory.
        """
        # with the channels between the indices, the indexed dimensions come first: (N, H, W, C)
        return _pad(images)[self._pixels()].permute(0, 3, 1, 2)

    def put(self, crops: Tensor, images: Tensor) -> Tensor:
        """Return `images` with `crops` back in their places: the inverse of `take`.

        Pixels of an image outside its crop stay; those of a crop outside the image are lost.

        Args:
            crops, images: (N, C, H, W).
        """
        height, width = images.shape[2:]
        vertical, horizontal = _margins(images)
        padded = _pad(images)
        padded[self._pixels()] = crops.permute(0, 2, 3, 1)
        return padded[:, :, vertical : vertical + height, horizontal : horizontal + width]

    def _pixels(self) -> tuple[Tensor, slice, Tensor, Tensor]:
        which = torch.arange(len(self.rows), device=self.rows.device)[:, None, None]
        return which, slice(None), self.rows[:, :, None], self.columns[:, None, :]


def crop_flip(images: Tensor, generator: torch.Generator) -> Crop:
    """Pad by an eighth of the size with zeros, crop at random, flip half of the images.

    4 pixels at 32x32, as the CIFAR literature does.

    Args:
        images: (N, C, H, W), of which only shape and device matter.
        generator: random numbers on the images' device.
    """
    count, _, height, width = images.shape
    vertical, horizontal = _margins(images)
    rows, columns = (
        torch.randint(0, 2 * margin + 1, (count, 1), generator=generator, device=images.device)
        + torch.arange(size, device=images.device)
        for margin, size in ((vertical, height), (horizontal, width))
    )
    flipped = torch.rand((count, 1), generator=generator, device=images.device) < 0.5
    return Crop(rows, torch.where(flipped, columns.flip(1), columns))


def _margins(images: Tensor) -> tuple[int, int]:
    """Return the widths of the padding above and below, and at either side, in pixels."""
    return images.shape[2] // 8, images.shape[3] // 8


def _pad(images: Tensor) -> Tensor:
    vertical, horizontal = _margins(images)
    return F.pad(images, (horizontal, horizontal, vertical, vertical))
