"""Samplers whose points follow from the number of a trial alone: a grid, and Sobol's sequence."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.problem.space import Range

GRID = 4
"""Values on each axis of the grid, both ends included; a choice has all of its own."""


class Points(Protocol):
    """Where a trial lies in the unit cube."""

    def at(self, number: int) -> list[float]:
        """Return a share in [0, 1] for each parameter."""


@dataclass(frozen=True)
class Grid:
    """Every combination of a few values, in an order shuffled by the seed.

    steps: values of each parameter. Trial 0 is the default configuration, so the grid begins
        with trial 1; after its end it begins again.
    """

    steps: tuple[int, ...]
    seed: int

    @property
    def size(self) -> int:
        """How many combinations there are."""
        return math.prod(self.steps)

    def at(self, number: int) -> list[float]:
        """Return the combination of a trial."""
        order = np.random.default_rng(self.seed).permutation(self.size)
        place = np.unravel_index(order[(number - 1) % self.size], self.steps)
        return [int(k) / max(1, n - 1) for k, n in zip(place, self.steps, strict=True)]


@dataclass(frozen=True)
class Sobol:
    """Sobol's sequence with Owen's scrambling: even in every number of trials."""

    dimensions: int
    seed: int

    def at(self, number: int) -> list[float]:
        """Return the point of a trial."""
        from scipy.stats import qmc

        sequence = qmc.Sobol(self.dimensions, scramble=True, rng=self.seed)
        if number:  # none is too few for it
            sequence.fast_forward(number)
        return [float(x) for x in sequence.random(1)[0]]


class SequenceSampler(BaseSampler):
    """Turns points of the unit cube into values of a space."""

    def __init__(self, points: Points, ranges: Mapping[str, Range]) -> None:
        """Take the point of each trial from `points`, in the order of `ranges`."""
        self._points, self._ranges = points, ranges

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return nothing: each parameter has its own share."""
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        """Return the value at the trial's share of the parameter."""
        share = self._points.at(trial.number)[list(self._ranges).index(param_name)]
        return self._ranges[param_name].at(share)


def grid(ranges: Mapping[str, Range], seed: int) -> Grid:
    """Return the grid over a space."""
    return Grid(tuple(range_.steps(GRID) for range_ in ranges.values()), seed)
