"""Many images through a model, in batches that fit into memory."""

from collections.abc import Callable

import torch
from torch import Tensor


def batched(run: Callable[[Tensor], Tensor], index: Tensor, batch_size: int) -> Tensor:
    """Return (N,) bool, the answers of `run` for all images, batch by batch.

    Args:
        run: function from indices (M,) of a batch to its answers (M,) bool.
        index: (N,) int64 indices of the images.
        batch_size: largest M; halved where memory runs out.

    Raises:
        torch.OutOfMemoryError: where it does not suffice for one image.
    """
    answers, begun = torch.zeros_like(index, dtype=torch.bool), 0
    while begun < len(index):
        part = slice(begun, begun + batch_size)
        try:
            answers[part] = run(index[part])
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise
            torch.cuda.empty_cache()
            batch_size //= 2
        else:
            begun += batch_size
    return answers


def among(run: Callable[[Tensor], Tensor], some: Tensor, batch_size: int) -> Tensor:
    """Return (N,) bool: the answers of `run` for some of the images, False for the others.

    Args:
        run, batch_size: function and largest batch, as `batched` takes them.
        some: (N,) bool, True for the images that `run` is asked about.
    """
    index = some.nonzero().squeeze(1)
    answers = torch.zeros_like(some)
    answers[index] = batched(run, index, batch_size)
    return answers
