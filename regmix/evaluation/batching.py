"""Many images through a model in parts that fit into memory."""

from collections.abc import Callable

import torch
from torch import Tensor


def batched(run: Callable[[Tensor], Tensor], index: Tensor, batch_size: int) -> Tensor:
    """Return (N,) bool, what `run` answers for the images at `index` (N,), part after part.

    Args:
        run: takes a part of the index (M,), returns (M,) bool.
        index: int64.
        batch_size: M at most; halved where memory runs out.

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
