"""A table of trainings as a task: a search may only choose what was trained, each row once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from benchmarks.simulated import Trained
from pipeline.forecast.coordinates import Coordinates
from pipeline.forecast.curves import Curves
from pipeline.problem.space import SearchSpace
from pipeline.study.contracts import SamplerFactory
from pipeline.study.followed_storage import index_of
from regmix.ranges import Value

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """A training of the table: its configuration, and what `Trained` holds of it."""

    params: Mapping[str, Value]
    curve: Sequence[float | None]
    final: float
    worth: float


@dataclass(frozen=True)
class PoolTask:
    """A table for one search, which uses it up.

    used: rows that were begun.
    """

    name: str
    rows: Sequence[Row]
    space: SearchSpace
    epochs: int
    eval_every: int
    trainings: int
    used: set[int] = field(default_factory=set)

    def trained(self, params: Mapping[str, Value]) -> Trained:
        """Return the row with these parameters, which are as exact as shares are."""
        row = self.nearest(self.coordinates.shares(params)[None])[0]
        self.used.add(row)
        one = self.rows[row]
        return Trained(one.curve, one.final, one.worth)

    @cached_property
    def coordinates(self) -> "PoolCoordinates":
        """The space, in which nothing but the rows is proposed."""
        return PoolCoordinates(Coordinates.of(self.space).distributions, self)

    def nearest(self, shares: Numbers) -> list[int]:
        """Return the unused rows that lie nearest to (n, parameters) shares."""
        known = self.coordinates.of_rows
        apart = ((shares[:, None, :] - known[None]) ** 2).sum(axis=2)
        apart[:, sorted(self.used)] = np.inf
        return [int(row) for row in apart.argmin(axis=1)]


@dataclass(frozen=True)
class PoolCoordinates(Coordinates):
    """Proposes rows of a table that no trial has yet."""

    task: PoolTask

    @cached_property
    def of_rows(self) -> Numbers:
        """(rows, parameters) shares of the table."""
        return np.stack([self.shares(row.params) for row in self.task.rows])

    def random(self, generator: np.random.Generator, count: int) -> Numbers:
        """Return the shares of random rows."""
        left = [row for row in range(len(self.task.rows)) if row not in self.task.used]
        chosen = generator.choice(left, size=min(count, len(left)), replace=False)
        result: Numbers = self.of_rows[chosen]
        return result

    def near(self, generator: np.random.Generator, parents: Numbers, count: int) -> Numbers:
        """Return the shares of the rows that small changes are nearest to."""
        moved = Coordinates(self.distributions).near(generator, parents, count)
        result: Numbers = self.of_rows[self.task.nearest(moved)]
        return result


class PoolSampler(BaseSampler):
    """Goes round a sampler: what it would draw at random is a random row."""

    def __init__(self, inner: BaseSampler, coordinates: PoolCoordinates, seed: list[int]) -> None:
        """Draw rows from `seed`."""
        self._inner, self._coordinates = inner, coordinates
        self._generator = np.random.default_rng(seed)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return all parameters."""
        return dict(self._coordinates.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return a row."""
        space = self._inner.infer_relative_search_space(study, trial)
        found = self._inner.sample_relative(study, trial, space) if space else {}
        return found or self._coordinates.params(self._coordinates.random(self._generator, 1)[0])

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        """Never asked."""
        raise AssertionError("all parameters are drawn together")


def adapted(make: SamplerFactory, task: object, study: Study, seed: int) -> SamplerFactory:
    """Return a sampler's factory for a task: over a table only rows are drawn."""
    if not isinstance(task, PoolTask):
        return make
    coordinates = task.coordinates
    index_of(study).view("curves", Curves(coordinates, task.epochs))
    return lambda number: PoolSampler(make(number), coordinates, [seed, number])
