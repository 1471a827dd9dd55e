"""What the model of the curves says: whether a trial goes on, and which comes next.

One rule for both, MFPI-random (Rakotoarison et al., ICML 2024, section 4.2): a horizon and a target
are drawn, and whoever is likeliest to exceed the target after so many more epochs is trained.
"""

import math
from dataclasses import dataclass

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.forecast.coordinates import Numbers
from pipeline.forecast.curves import Curves, Seen, curves_of, seen
from pipeline.forecast.gaussian_process import Hyperparameters, Process, improved
from pipeline.study.records import StudyRecord

GUARD = 16
"""First trials, which are random and stopped by halving: before that the model knows too little."""

RANDOM, NEAR, PARENTS = 120, 80, 8
"""New configurations that are looked at: random ones, and small changes of the best trials."""

_FIRST, _STEPS = 60, 12  # random steps of the hyperparameters, when they are first sought and later
_MORE = 0.1  # share of new values after which they are sought again
_HIGHEST = 1.0  # of an accuracy


@dataclass(frozen=True)
class Goal:
    """What a candidate is asked for: to exceed `target` after `horizon` more epochs."""

    horizon: int
    target: float

    @classmethod
    def drawn(cls, generator: np.random.Generator, epochs: int, best: float) -> "Goal":
        """Draw it; targets close to the best and far above are equally likely by their order."""
        above = 10 ** generator.uniform(-4, -1) * max(_HIGHEST - best, 0.0)
        return cls(int(generator.integers(1, epochs + 1)), best + above)


@dataclass(frozen=True)
class Rivals:
    """A running trial beside new configurations.

    own: how many deviations its expected value lies above the target.
    new: (n,) the same of each new configuration.
    """

    goal: Goal
    own: float
    new: Numbers

    @property
    def likelier(self) -> int:
        """Number of new configurations that are likelier to exceed the target."""
        return int((self.new > self.own).sum())


class Forecast:
    """The model of a study's curves at one moment."""

    def __init__(
        self, curves: Curves, found: Seen, process: Process, epochs: int, random: list[int]
    ) -> None:
        """Take the model, and the seeds of the chance that decisions are made by."""
        assert curves.coordinates is not None, "there are curves"
        self.coordinates, self._seen, self._process = curves.coordinates, found, process
        self._epochs, self._generator = epochs, np.random.default_rng(random)

    def rivals(self, number: int) -> Rivals:
        """Hold a running trial against new configurations."""
        goal, new = self._new()
        numbers = [curve.number for curve in self._seen.curves]
        own = numbers.index(number)
        last = self._seen.curves[own].epochs[-1]
        end = np.log([float(min(last + goal.horizon, self._epochs))])
        score = self._score(goal, self._points(self._seen.curves[own].shares[None]), end, own)
        return Rivals(goal, float(score[0]), self._scores(goal, new))

    def next(self) -> Numbers:
        """Return (parameters,) shares of the new configuration that promises most."""
        goal, new = self._new()
        best: Numbers = new[int(np.argmax(self._scores(goal, new)))]
        return best

    def _new(self) -> tuple[Goal, Numbers]:
        generator = self._generator
        goal = Goal.drawn(generator, self._epochs, self._seen.scale.best)
        order = np.argsort(-self._seen.latest, kind="stable")[:PARENTS]
        parents = np.stack([self._seen.curves[place].shares for place in order])
        new = (
            self.coordinates.random(generator, RANDOM),
            self.coordinates.near(generator, parents, NEAR),
        )
        return goal, np.concatenate(new)

    def _scores(self, goal: Goal, new: Numbers) -> Numbers:
        ends = np.full(len(new), math.log(min(goal.horizon, self._epochs)))
        return self._score(goal, self._points(new), ends, None)

    def _points(self, shares: Numbers) -> Numbers:
        return self.coordinates.points(shares)

    def _score(self, goal: Goal, points: Numbers, ends: Numbers, own: int | None) -> Numbers:
        """Return by how many deviations the means exceed the target: the order of probabilities."""
        mean, deviation = self._process.predict(points, ends, own)
        result: Numbers = (mean - self._seen.scale.target(goal.target)) / deviation
        return result


def forecast(
    study: Study, random: tuple[int, ...], reporting: FrozenTrial | None = None
) -> Forecast | None:
    """Return the model of a study's curves as they are now; None where there are too few.

    Its hyperparameters are stored in the study, and sought anew as values come: so what it says
    follows from what is stored, and from `random`.

    Args:
        study: the study.
        random: numbers that tell this decision from all others.
        reporting: a trial with an epoch that is not stored yet, if the decision is over one.
    """
    curves, record = curves_of(study), StudyRecord(study)
    found = seen(curves, reporting)
    if found is None:
        return None
    known, count = record.hyperparameters
    parameters = int(found.looks.owners[-1]) + 1
    if count == 0 or curves.count >= count * (1 + _MORE):
        before = Hyperparameters(known) if count else Hyperparameters.prior(parameters)
        generator = np.random.default_rng([curves.count, *random])
        better = improved(found.looks, before, generator, _STEPS if count else _FIRST)
        known = better.values
        record.set_hyperparameters(known, curves.count)
    process = Process(found.looks, Hyperparameters(known))
    return Forecast(curves, found, process, curves.epochs, list(random))
