"""Every combination of a few values of each parameter."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from optuna.samplers import BaseSampler

from pipeline.problem.space import Range
from pipeline.samplers import SamplerContext
from pipeline.samplers._sequence import SequenceSampler
from regmix.errors import InputError

VALUES = 4
"""Number of values on each axis of the grid, both ends included; a choice has all of its own."""


MOST = 100_000
"""Combinations of a grid: they are shuffled in memory."""


@dataclass(frozen=True)
class Grid:
    """Every combination of a few values, in an order shuffled by the seed.

    steps: number of values of each parameter. Trial 0 is the default configuration, so the grid
        begins with trial 1; after its end it begins again.
    """

    steps: tuple[int, ...]
    seed: int

    @property
    def size(self) -> int:
        """Number of combinations."""
        return math.prod(self.steps)

    def at(self, number: int) -> list[float]:
        """Return the combination of a trial."""
        order = np.random.default_rng(self.seed).permutation(self.size)
        place = np.unravel_index(order[(number - 1) % self.size], self.steps)
        return [int(k) / max(1, n - 1) for k, n in zip(place, self.steps, strict=True)]


def grid_of(ranges: Mapping[str, Range], seed: int) -> Grid:
    """Return the grid over a space, in an order that follows from the seed.

    Raises:
        InputError: where it has more combinations than anybody tries.
    """
    found = Grid(tuple(range_.steps(VALUES) for range_ in ranges.values()), seed)
    if found.size > MOST:
        raise InputError(
            f"--sampler grid: must have at most {MOST} combinations, but {len(ranges)} parameters "
            f"make about {found.size:.0e}; search fewer, or choose another sampler"
        )
    return found


def whole_grid(ranges: Mapping[str, Range]) -> int | None:
    """Return how many configurations a space has; None where its grid doesn't have all of them."""
    if any(range_.steps(VALUES + 1) > range_.steps(VALUES) for range_ in ranges.values()):
        return None
    return math.prod(range_.steps(VALUES) for range_ in ranges.values())


def grid(context: SamplerContext) -> BaseSampler:
    """Walk through the grid; trial 0 is the default configuration, so it begins with trial 1."""
    ranges = context.space.ranges
    return SequenceSampler(grid_of(ranges, context.study_seed), ranges)
