"""Crop and flip of a whole batch on its device."""

import torch
from torch import Tensor
from torch.nn import functional as F


def crop_flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pad by an eighth of the size with zeros, cut at random, flip half of the images.

    4 pixels at 32x32, as the CIFAR literature does.

    Args:
        images: (N, C, H, W).
        generator: on the images' device.
    """
    count, _, height, width = images.shape
    down, right = height // 8, width // 8
    padded = F.pad(images, (right, right, down, down))
    draw = {"generator": generator, "device": images.device}
    rows = torch.randint(0, 2 * down + 1, (count, 1), **draw) + torch.arange(  # type: ignore[call-overload]
        height, device=images.device
    )
    columns = torch.randint(0, 2 * right + 1, (count, 1), **draw) + torch.arange(  # type: ignore[call-overload]
        width, device=images.device
    )
    flipped = torch.rand((count, 1), **draw) < 0.5  # type: ignore[call-overload]
    columns = torch.where(flipped, columns.flip(1), columns)
    which = torch.arange(count, device=images.device)[:, None, None]
    # with the channels between the indices, the indexed dimensions come first: (N, H, W, C)
    cut = padded[which, :, rows[:, :, None], columns[:, None, :]]
    return cut.permute(0, 3, 1, 2).contiguous()
