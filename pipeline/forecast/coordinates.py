"""Configurations as points: each parameter on its own scale, in [0, 1], choices one-hot.

A configuration is written as shares: for a number how far it lies from the lower bound, on a
logarithmic scale where it is searched so; for a choice the place of its value, from 0.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FixedTrial

from pipeline.problem.space import SearchSpace

Numbers = NDArray[np.float64]

_DIGITS = 9  # of a share; what differs by less went through a logarithm and back


@dataclass(frozen=True)
class Coordinates:
    """The space that a study's trials have in common.

    distributions: range of each parameter, by its name.
    """

    distributions: Mapping[str, BaseDistribution]

    @classmethod
    def of(cls, space: SearchSpace) -> "Coordinates":
        """Return those of a search space, the same as any of its trials has."""
        values = {name: range_.ends()[0] for name, range_ in space.ranges.items()}
        trial = FixedTrial(values)
        space.suggest(trial)
        return cls(dict(sorted(trial.distributions.items())))

    @property
    def choices(self) -> NDArray[np.int64]:
        """Number of values of each choice; 0 for a number."""
        return np.array([_values(one) for one in self.distributions.values()], np.int64)

    @property
    def owners(self) -> NDArray[np.int64]:
        """Parameter that each coordinate of a point belongs to."""
        return np.repeat(np.arange(len(self.distributions)), np.maximum(self.choices, 1))

    def shares(self, params: Mapping[str, Any]) -> Numbers:
        """Return (parameters,) the shares of a configuration."""
        return np.array([_share(one, params[name]) for name, one in self.distributions.items()])

    def points(self, shares: Numbers) -> Numbers:
        """Return (n, coordinates) of (n, parameters) shares.

        Two values of a choice lie a distance of 1 apart, as both ends of a number do.
        """
        columns = []
        for column, count in zip(shares.T, self.choices, strict=True):
            one_hot = (column[:, None] == np.arange(count)) / math.sqrt(2)
            columns.append(one_hot if count else column[:, None])
        return np.concatenate(columns, axis=1)

    def params(self, shares: Numbers) -> dict[str, Any]:
        """Return the configuration at (parameters,) shares."""
        found = zip(self.distributions.items(), shares, strict=True)
        return {name: _value(one, float(share)) for (name, one), share in found}

    def unlike(self, shares: Numbers, others: Numbers) -> Numbers:
        """Return (m, parameters) those of (n, parameters) shares that are other configurations.

        Args:
            shares: the configurations to choose from.
            others: (any number, parameters) the configurations to be unlike.
        """
        known = {one.tobytes() for one in self._told_apart(others)}
        return shares[[one.tobytes() not in known for one in self._told_apart(shares)]]

    def random(self, generator: np.random.Generator, count: int) -> Numbers:
        """Return (count, parameters) shares of independent configurations."""
        return self._rounded(generator.random((count, len(self.distributions))))

    def near(self, generator: np.random.Generator, parents: Numbers, count: int) -> Numbers:
        """Return (count, parameters) shares of small changes of configurations.

        Each parameter changes with probability a half: a number by a normal step of 0.05, 0.15 or
        0.3 of its range, a choice to a random value.

        Args:
            generator: source of chance.
            parents: (n, parameters) shares, n at least 1.
            count: number of changes.
        """
        found = parents[generator.integers(len(parents), size=count)]
        steps = generator.choice((0.05, 0.15, 0.3), size=(count, 1))
        moved = found + steps * generator.standard_normal(found.shape)
        fresh = self.random(generator, count)
        changed = np.where(self.choices > 0, fresh, np.clip(moved, 0.0, 1.0))
        return np.where(generator.random(found.shape) < 0.5, changed, found)

    def _told_apart(self, shares: Numbers) -> Numbers:
        """Return shares of which equal configurations have equal ones, to the bit."""
        found = np.round(shares, _DIGITS) + 0.0  # no negative zero
        for column, one in zip(found.T, self.distributions.values(), strict=True):
            if isinstance(one, IntDistribution):
                column[:] = [_value(one, float(share)) for share in column]
        return found

    def _rounded(self, cube: Numbers) -> Numbers:
        """Return shares of points of the unit cube: of a choice the place of its value."""
        places = np.minimum(np.floor(cube * self.choices), np.maximum(self.choices - 1, 0))
        return np.where(self.choices > 0, places, cube)


def _values(distribution: BaseDistribution) -> int:
    return len(distribution.choices) if isinstance(distribution, CategoricalDistribution) else 0


def _bounds(distribution: FloatDistribution | IntDistribution) -> tuple[float, float]:
    """Return the bounds between which shares are counted, on the parameter's scale.

    A whole number is as wide as half a step to either side.
    """
    half = 0.5 if isinstance(distribution, IntDistribution) else 0.0
    low, high = distribution.low - half, distribution.high + half
    if not distribution.log:
        return low, high
    return math.log(low), math.log(high)


def _share(distribution: BaseDistribution, value: Any) -> float:  # noqa: ANN401
    if isinstance(distribution, CategoricalDistribution):
        return float(distribution.choices.index(value))
    assert isinstance(distribution, FloatDistribution | IntDistribution), "a space has no others"
    low, high = _bounds(distribution)
    scaled = math.log(value) if distribution.log else value
    return (scaled - low) / (high - low) if high > low else 0.0


def _value(distribution: BaseDistribution, share: float) -> Any:  # noqa: ANN401
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[int(share)]
    assert isinstance(distribution, FloatDistribution | IntDistribution), "a space has no others"
    low, high = _bounds(distribution)
    scaled = low + share * (high - low)
    value = math.exp(scaled) if distribution.log else scaled
    if isinstance(distribution, IntDistribution):
        value = round(value)
    return min(max(value, distribution.low), distribution.high)
