"""How a card multiplies in training; a network is always judged in true fp32."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from regmix.config import TrainConfig
from regmix.device import fp32


@contextmanager
def trained_in(config: TrainConfig) -> Iterator[None]:
    """Compute fp32 products as the configuration says, and as fp32 again after it.

    TF32, which a card's matrix units take in the place of fp32, keeps 10 bits of a number's 23.
    cuDNN tries its ways for each new shape: training has two lengths of batches, judging dozens.
    """
    fp32(config.precision == "tf32")
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = False
        fp32()


def autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager[None]:
    """Return in which formats a forward pass computes; what it returns may be narrow."""
    if config.precision != "bf16":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
