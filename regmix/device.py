"""The device that a run computes on, and what its numbers therefore depend on."""

from typing import Any

import torch


def device() -> torch.device:
    """Return the accelerator that this process was given, else the CPU; from now on see `fp32`."""
    fp32()
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def memory() -> tuple[int, int, int] | None:
    """Return bytes of the device's memory; None on a CPU.

    Returns:
        the most that this process has reserved; what is taken beside what it has reserved now, by
        its context and by others; all that there is.
    """
    if device().type != "cuda":
        return None
    free, card = torch.cuda.mem_get_info()
    return torch.cuda.max_memory_reserved(), card - free - torch.cuda.memory_reserved(), card


def fp32(tf32: bool = False) -> None:
    """Say how a card multiplies fp32: truly, or as TF32, torch's default for convolutions."""
    format_ = "tf32" if tf32 else "ieee"
    backends: Any = torch.backends
    for unit in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn):
        unit.fp32_precision = format_


def machine() -> dict[str, str | int]:
    """Return what the numbers of a run depend on besides its configuration and versions."""
    where = device()
    name = torch.cuda.get_device_name() if where.type == "cuda" else "cpu"
    return {"device": name, "threads": torch.get_num_threads()}
