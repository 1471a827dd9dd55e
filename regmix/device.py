"""The device that a run computes on, and what its numbers therefore depend on."""

import torch


def device() -> torch.device:
    """Return the accelerator that this process was given, else the CPU."""
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


def machine() -> dict[str, str | int]:
    """Return what the numbers of a run depend on besides its configuration and versions."""
    where = device()
    name = torch.cuda.get_device_name() if where.type == "cuda" else "cpu"
    return {"device": name, "threads": torch.get_num_threads()}
