"""Samplers whose points follow from the number of a trial alone.

Optuna's own do not fit ask and tell; seen with Optuna 5.0. `QMCSampler` counts in the study how
many points it has drawn. A kill between two parameters of a trial, which are stored one by one,
mixes two points in it and moves every later trial to another point; two drivers of one study draw
some points twice; and while no trial is complete or running it draws at random. `GridSampler`
takes its points by number, but ends a loop of Optuna's that does not run here: `tell` raises
RuntimeError with the last point, or KeyError where the last to end is an enqueued trial.
"""

from collections.abc import Mapping
from typing import Any, Protocol

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.problem.space import Range


class Points(Protocol):
    """Where a trial lies in the unit cube."""

    def at(self, number: int) -> list[float]:
        """Return a share in [0, 1] for each parameter."""


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
