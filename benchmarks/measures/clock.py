"""Interleaved timing: A B A B ..., so that what else the machine does falls on all ways alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

from benchmarks.measures.setting import Budget


def seconds(device: torch.device, work: Callable[[], object]) -> float:
    """Return what some work costs: CPU seconds of this process, on a card wall seconds.

    A card computes on when the call has returned, so both ends wait for it.
    """
    if device.type != "cuda":
        begun = time.process_time()
        work()
        return time.process_time() - begun
    torch.cuda.synchronize(device)
    begun = time.perf_counter()
    work()
    torch.cuda.synchronize(device)
    return time.perf_counter() - begun


def interleaved(
    device: torch.device,
    ways: Mapping[str, Callable[[], object]],
    budget: Budget,
    *,
    least_rounds: int = 2,
    most_rounds: int = 30,
    warm_up: bool = True,
) -> dict[str, list[float]]:
    """Time each way once in every round, until time is up.

    Args:
        device: device that the ways compute on.
        ways: name -> work, which may be done any number of times.
        budget: time for all of it.
        least_rounds: number of rounds that are counted in any case.
        most_rounds: number of rounds that are enough.
        warm_up: whether a first round is not counted.

    Returns:
        name -> seconds of each round.
    """
    if warm_up:
        for work in ways.values():
            work()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for done in range(most_rounds):
        if done >= least_rounds and budget.left <= 0:
            break
        for name, work in ways.items():
            found[name].append(seconds(device, work))
    return found


class Ratio(NamedTuple):
    """How many times one way takes as long as another, over the rounds of both."""

    median: float
    least: float
    most: float


def ratio(one: list[float], other: list[float]) -> Ratio:
    """Return seconds of `one` over those of `other`, round by round."""
    each = [a / b for a, b in zip(one, other, strict=True)]
    return Ratio(statistics.median(each), min(each), max(each))
