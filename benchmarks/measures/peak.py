"""How near a step comes to what the device can do: a matrix product measured, its FLOPs counted."""

import statistics
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measures.clock import seconds
from regmix.device import fp32

_SIDES = {"cpu": 1024, "cuda": 8192}
_ROUNDS = 5


def product_rate(device: torch.device, precision: str) -> float:
    """Return the FLOP/s of a large square matrix product, the median of 5.

    Args:
        device: device that computes; on a CPU FLOPs for each of its threads' CPU seconds.
        precision: `fp32`, `tf32` or `bf16`.
    """
    side = _SIDES[device.type]
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    fp32(precision == "tf32")
    try:
        one @ other
        each = statistics.median(seconds(device, lambda: one @ other) for _ in range(_ROUNDS))
    finally:
        fp32()
    return float(2 * side**3 / each)


def flops(work: Callable[[], object]) -> int:
    """Return the FLOPs of convolutions and matrix products in some work, which is done once."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()
