"""The device that a run computes on, and what its numbers therefore depend on."""

import torch


def device() -> torch.device:
    """Return the accelerator that this process was given, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def machine() -> dict[str, str | int]:
    """Return what the numbers of a run depend on besides its configuration and versions."""
    where = device()
    name = torch.cuda.get_device_name() if where.type == "cuda" else "cpu"
    return {"device": name, "threads": torch.get_num_threads()}
