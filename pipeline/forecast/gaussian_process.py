"""A Gaussian process over configuration and logarithm of the epoch: learning curves that go on.

Swersky et al., 2014 (freeze-thaw), in the form of arXiv 2410.09239: one process for all curves. The
covariance of two looks at trials i and j, at epochs e and f, is

    matern(x_i, x_j) (rho + (1 - rho) exp(-|log e - log f| / l))
        + [i = j] v exp(-|log e - log f| / m) + [the same look] noise

where matern is Matern's of order 5/2 with a length for each parameter: a part that configurations
share, for all epochs alike or for near ones, and a part of each training's own. Between trials of
different studies s and t the first line is multiplied by r_s r_t, in (0, 1), which is 1 for the
study itself: how much an earlier study says about this one (a coregionalisation of rank one,
Alvarez et al., 2012, section 4.2). At 0 it says nothing, and does no harm.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Whole = NDArray[np.int64]

# Weak priors, normal, of the hyperparameters' logarithms, of rho's logit: mean, deviation.
_LENGTH = (0.3, 0.8)
_OTHERS = np.array([(0.5, 1.5), (0.7, 0.7), (-2.0, 1.0), (0.0, 0.7), (-4.5, 1.0)])
_SOURCE = (0.0, 2.0)  # of r's logit: neither use nor uselessness is taken for granted
_STEP, _SHARE = 0.35, 0.4  # of a random step, and of the hyperparameters that it changes
_LEFT_OUT = -50.0  # r's logit of a source that has no looks any more
_LEAP = 1.5  # of a random step of r's logit: it has to get from one end to the other


@dataclass(frozen=True)
class Looks:
    """What was seen of a study's trials.

    points: (trials, coordinates) of their configurations.
    owners: (coordinates,) parameter of each coordinate.
    trial: (n,) index in `points` of the trial that a look is at.
    epoch: (n,) logarithm of the epoch.
    values: (n,) what was seen, standardised.
    study: (trials,) study that each is of: 0 this one, then the sources; None where there are none.
    """

    points: Numbers
    owners: Whole
    trial: Whole
    epoch: Numbers
    values: Numbers
    study: Whole | None = None

    @cached_property
    def epochs(self) -> tuple[Numbers, Whole]:
        """The different epochs, ascending, and which of them each look is at."""
        different, place = np.unique(self.epoch, return_inverse=True)
        return different, place

    @cached_property
    def same(self) -> tuple[Whole, Whole]:
        """The pairs of looks at one trial."""
        first, second = np.nonzero(self.trial[:, None] == self.trial)
        return first, second


@dataclass(frozen=True)
class Hyperparameters:
    """Of the covariance, as they are searched: one array of logarithms, and rho's logit.

    values: (parameters + 5 + sources,): lengths, rho, l, v, m, noise, and each source's r.
    sources: number of earlier studies.
    """

    values: tuple[float, ...]
    sources: int = 0

    @classmethod
    def prior(cls, parameters: int, sources: int = 0) -> "Hyperparameters":
        """Return the means of the priors."""
        means = (_LENGTH[0],) * parameters + tuple(_OTHERS[:, 0].tolist())
        return cls(means + (_SOURCE[0],) * sources, sources)

    @property
    def parameters(self) -> int:
        """Number of the space's parameters."""
        return len(self.values) - 5 - self.sources

    @property
    def lengths(self) -> Numbers:
        """(parameters,) lengths of the configurations' part."""
        result: Numbers = np.exp(np.array(self.values[: self.parameters]))
        return result

    @property
    def others(self) -> tuple[float, float, float, float, float]:
        """Return rho, l, v, m, and noise."""
        logit, *logarithms = self.values[self.parameters : self.parameters + 5]
        a, b, c, d = np.exp(logarithms).tolist()
        return float(1 / (1 + np.exp(-logit))), a, b, c, d

    @property
    def shared(self) -> Numbers:
        """(1 + sources,) r of each study: 1 of this one, then in (0, 1)."""
        logits = np.array(self.values[self.parameters + 5 :])
        result: Numbers = np.append(1.0, 1 / (1 + np.exp(-logits)))
        return result

    @property
    def used(self) -> list[int]:
        """Places of the sources that are not left out."""
        logits = self.values[self.parameters + 5 :]
        return [place for place, logit in enumerate(logits) if logit != _LEFT_OUT]

    def without(self, places: Collection[int]) -> "Hyperparameters":
        """Return the same with sources that are left out for good: their r is 0, in effect."""
        values = list(self.values)
        for place in places:
            values[self.parameters + 5 + place] = _LEFT_OUT
        return replace(self, values=tuple(values))

    @property
    def log_prior(self) -> float:
        """Logarithm of the prior's density, but for a constant."""
        rows = [_LENGTH] * self.parameters + _OTHERS.tolist() + [_SOURCE] * self.sources
        mean, deviation = np.array(rows).T
        return float(-0.5 * (((np.array(self.values) - mean) / deviation) ** 2).sum())

    def changed(self, generator: np.random.Generator) -> "Hyperparameters":
        """Return a random step from here."""
        sizes = np.full(len(self.values), _STEP)
        sizes[self.parameters + 5 :] = _LEAP
        sizes[np.array(self.values) == _LEFT_OUT] = 0.0
        step = sizes * generator.standard_normal(len(self.values))
        where = generator.random(len(self.values)) < _SHARE
        return Hyperparameters(tuple((np.array(self.values) + step * where).tolist()), self.sources)


class Process:
    """The process, given some looks."""

    def __init__(self, looks: Looks, hyperparameters: Hyperparameters) -> None:
        """Condition it on the looks.

        Raises:
            numpy.linalg.LinAlgError: where the covariance is not positive to the last bit.
        """
        from scipy.linalg import cho_solve, cholesky

        self._looks, self._hyper = looks, hyperparameters
        _, _, variance, length, noise = hyperparameters.others
        covariance = self._shared(looks.points, looks.epoch, looks.trial)
        first, second = looks.same
        apart = np.abs(looks.epoch[first] - looks.epoch[second])
        covariance[first, second] += variance * np.exp(-apart / length)
        covariance[np.diag_indices_from(covariance)] += noise + 1e-8
        self._root = cholesky(covariance, lower=True, check_finite=False)
        self._weights = cho_solve((self._root, True), looks.values, check_finite=False)

    @property
    def shared(self) -> Numbers:
        """(1 + sources,) r of each study, see `Hyperparameters.shared`."""
        return self._hyper.shared

    @property
    def log_posterior(self) -> float:
        """Logarithm of likelihood times prior of the hyperparameters, but for a constant."""
        fit = -0.5 * float(self._looks.values @ self._weights)
        return fit - float(np.log(np.diag(self._root)).sum()) + self._hyper.log_prior

    def predict(
        self, points: Numbers, epochs: Numbers, own: int | None = None
    ) -> tuple[Numbers, Numbers]:
        """Return mean and deviation of what is to come, without the noise of a look.

        Args:
            points: (m, coordinates) of configurations.
            epochs: (m,) logarithms of epochs.
            own: index of the trial that all m are of; None for trainings that are new.

        Returns:
            (m,) means and (m,) standard deviations.
        """
        from scipy.linalg import solve_triangular

        looks = self._looks
        _, _, variance, length, _ = self._hyper.others
        across = self._shared(points, epochs)
        if own is not None:
            apart = np.abs(epochs[:, None] - looks.epoch)
            across += (looks.trial == own) * variance * np.exp(-apart / length)
        mean = across @ self._weights
        solved = solve_triangular(self._root, across.T, lower=True, check_finite=False)
        left = 1.0 + variance - (solved**2).sum(axis=0)
        return mean, np.sqrt(np.maximum(left, 1e-10))

    def draw(self, points: Numbers, count: int, generator: np.random.Generator) -> Numbers:
        """Return what configurations share, drawn from the posterior at the looks' first epoch.

        Args:
            points: (m, coordinates) of configurations.
            count: number of draws.
            generator: source of chance.

        Returns:
            (count, m) draws.
        """
        from scipy.linalg import cholesky, solve_triangular

        epochs = np.full(len(points), self._looks.epoch.min())
        across = self._shared(points, epochs)
        solved = solve_triangular(self._root, across.T, lower=True, check_finite=False)
        left = _matern(points, points, self._hyper.lengths[self._looks.owners]) - solved.T @ solved
        left[np.diag_indices_from(left)] += 1e-6
        root = cholesky(left, lower=True, check_finite=False)
        drawn: Numbers = (
            across @ self._weights + generator.standard_normal((count, len(points))) @ root.T
        )
        return drawn

    def _shared(self, points: Numbers, epochs: Numbers, trial: Whole | None = None) -> Numbers:
        """Return (m, n) the covariance that configurations share.

        Args:
            points: (m, coordinates), or those of the trials where `trial` says whose each row is.
            epochs: (m,) logarithms.
            trial: (m,) rows of `points`; None where each epoch has a row of its own.
        """
        looks = self._looks
        rho, length, *_ = self._hyper.others
        near: Numbers = _matern(points, looks.points, self._hyper.lengths[looks.owners])
        if looks.study is not None:
            near = near * self._alike(looks.study, None if trial is None else looks.study)
        different, place = looks.epochs
        time = rho + (1 - rho) * np.exp(-np.abs(epochs[:, None] - different) / length)
        rows = near if trial is None else near[trial]
        result: Numbers = rows[:, looks.trial] * time[:, place]
        return result

    def _alike(self, study: Whole, rows: Whole | None) -> Numbers:
        """Return what the shared part is multiplied by, see above.

        Args:
            study: (trials,) studies of the columns.
            rows: (trials,) studies of the rows; None where all are of this study.
        """
        r = self._hyper.shared
        if rows is None:
            result: Numbers = r[study]
            return result
        return np.where(rows[:, None] == study, 1.0, r[rows][:, None] * r[study])


def _matern(one: Numbers, other: Numbers, lengths: Numbers) -> Numbers:
    """Return Matern's covariance of order 5/2 (Rasmussen and Williams, 2006, eq. 4.17)."""
    a, b = one / lengths, other / lengths
    squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    distance = np.sqrt(5 * np.maximum(squared, 0.0))
    result: Numbers = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return result


def improved(
    looks: Looks, known: Hyperparameters, generator: np.random.Generator, steps: int
) -> Hyperparameters:
    """Return hyperparameters at least as likely as those known: random steps, the better kept."""
    best, reached = known, _reached(looks, known)
    for _ in range(steps):
        tried = best.changed(generator)
        found = _reached(looks, tried)
        if found > reached:
            best, reached = tried, found
    return best


def _reached(looks: Looks, hyperparameters: Hyperparameters) -> float:
    try:
        return Process(looks, hyperparameters).log_posterior
    except np.linalg.LinAlgError:
        return -np.inf
