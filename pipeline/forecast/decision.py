"""What the model of the curves says: whether a trial goes on, and which comes next.

One rule for both, MFPI-random (Rakotoarison et al., ICML 2024, section 4.2): a horizon and a target
are drawn, and whoever is likeliest to exceed the target after so many more epochs is trained.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.forecast.coordinates import Coordinates, Numbers
from pipeline.forecast.curves import Seen, curves_of, seen
from pipeline.forecast.gaussian_process import Hyperparameters, Process, improved
from pipeline.forecast.single_thread import single_thread
from pipeline.forecast.transfer import ENOUGH, USEFUL, sources_of
from pipeline.study.records import StudyRecord

RANDOM, NEAR, PARENTS = 120, 80, 8
"""New configurations that are looked at: random ones, and small changes of the best trials."""

_FIRST, _STEPS = 60, 12  # random steps of the hyperparameters, when they are first sought and later
_MORE = 0.1  # share of new values after which they are sought again
_LEAST = 5  # share of a training that a horizon is at least
_HIGHEST = 1.0  # of an accuracy
_QUANTILES = 64  # of a final value, over which its gain is averaged


@dataclass(frozen=True)
class Goal:
    """What a candidate is asked for: to exceed `target` after `horizon` more epochs."""

    horizon: int
    target: float

    @classmethod
    def drawn(cls, generator: np.random.Generator, epochs: int, best: float) -> "Goal":
        """Draw it: a horizon, and a target above the best by any order of magnitude.

        A horizon is a fifth of a training at least, as the first rung of halving: where curves rise
        slowly, whoever trains for less can't reach any target, and the least certain one would win.
        """
        least = math.ceil(epochs / _LEAST)
        above = 10 ** generator.uniform(-4, -1) * max(_HIGHEST - best, 0.0)
        return cls(int(generator.integers(least, epochs + 1)), best + above)


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


@dataclass(frozen=True)
class Forecast:
    """The model of a study's curves at one moment, for one decision.

    coordinates: space of the study.
    epochs: number of epochs of a full training.
    seen: what the model was given.
    tried: (any number, parameters) shares of the configurations that were begun.
    process: the model.
    random: numbers that tell this decision from all others, from which its chance follows.
    """

    coordinates: Coordinates
    epochs: int
    seen: Seen
    tried: Numbers
    process: Process
    random: tuple[int, ...]

    def rivals(self, number: int) -> Rivals:
        """Hold a running trial against new configurations.

        Args:
            number: number of the trial, which has a value.
        """
        goal, new = self._drawn()
        own = [curve.number for curve in self.seen.curves].index(number)
        curve = self.seen.curves[own]
        end = min(curve.epochs[-1] + goal.horizon, self.epochs)
        with single_thread():
            score = self._scores(goal, curve.shares[None], end, own)
            return Rivals(goal, float(score[0]), self._scores(goal, new, goal.horizon))

    def most_promising(self) -> Numbers:
        """Return (parameters,) shares of the new configuration that is likeliest to succeed."""
        goal, new = self._drawn()
        with single_thread():
            best: Numbers = new[int(np.argmax(self._scores(goal, new, goal.horizon)))]
        return best

    def expected_gain(self, trainings: int) -> float:
        """Return what so many full trainings are expected to gain over the best, at most.

        Each is a configuration of its own among those that are proposed, and gains its expected
        improvement (Jones et al., 1998) on the highest mean among trials that reached their end;
        that two of them may gain the same is left out, so the sum is an upper limit.

        Args:
            trainings: number of trainings.
        """
        _, new = self._drawn()
        points = self.seen.looks.points
        ended = [
            place for place, curve in enumerate(self.seen.curves) if curve.epochs[-1] == self.epochs
        ]
        with single_thread():
            known = [self._at_end(points[place][None], place)[0][0] for place in ended]
            mean, deviation = self._at_end(self.coordinates.points(new), None)
        scale = self.seen.scale
        best = scale.value(np.array([max(known, default=-math.inf)]))[0]
        gains = np.zeros(len(new))
        for normal in _quantiles():
            gains += np.maximum(scale.value(mean + normal * deviation) - best, 0.0)
        return float(np.sort(gains / _QUANTILES)[-trainings:].sum())

    @property
    def trusts_a_source(self) -> bool:
        """Whether a source says enough to propose trials before the study's own are enough."""
        return bool((self.process.shared[1:] > USEFUL).any())

    def _at_end(self, points: Numbers, own: int | None) -> tuple[Numbers, Numbers]:
        return self.process.predict(points, np.full(len(points), math.log(self.epochs)), own)

    def _drawn(self) -> tuple[Goal, Numbers]:
        """Return a goal, and (n, parameters) shares of new configurations.

        What was begun before would end as it did, so it isn't new; where the study has nothing
        else left, all that are drawn.
        """
        generator = np.random.default_rng(list(self.random))
        goal = Goal.drawn(generator, self.epochs, self.seen.scale.best)
        order = np.argsort(-self.seen.latest, kind="stable")[:PARENTS]
        parents = np.stack([self.seen.curves[place].shares for place in order])
        random = self.coordinates.random(generator, RANDOM)
        drawn = np.concatenate([random, self.coordinates.near(generator, parents, NEAR)])
        new = self.coordinates.unlike(drawn, self.tried)
        return goal, new if len(new) else drawn

    def _scores(self, goal: Goal, shares: Numbers, epoch: int, own: int | None = None) -> Numbers:
        """Return by how many deviations means exceed the target: the order of probabilities.

        Args:
            goal: the goal.
            shares: (n, parameters) shares.
            epoch: epoch that they will have reached.
            own: place of the trial that they are of; None for new ones.
        """
        points = self.coordinates.points(shares)
        mean, deviation = self.process.predict(points, np.full(len(points), math.log(epoch)), own)
        result: Numbers = (mean - self.seen.scale.target(goal.target)) / deviation
        return result


def _quantiles() -> Sequence[float]:
    """Return quantiles of the normal distribution, in the middle of equal shares."""
    from scipy.special import ndtri

    found: list[float] = ndtri((np.arange(_QUANTILES) + 0.5) / _QUANTILES).tolist()
    return found


def forecast(
    study: Study,
    random: tuple[int, ...],
    reporting: FrozenTrial | None = None,
    *,
    keep: bool = True,
) -> Forecast | None:
    """Return the model of a study's curves as they are now; None where there are too few.

    Its hyperparameters are stored in the study, and sought anew as values come: so what it says
    follows from what is stored, and from `random`.

    Args:
        study: the study.
        random: numbers that tell this decision from all others.
        reporting: a trial with an epoch that is not stored yet, if the decision is over one.
        keep: whether hyperparameters are stored; not where somebody only looks.
    """
    curves, record = curves_of(study), StudyRecord(study)
    hyper = _known(study)
    found = _seen(study, reporting, hyper)
    if found is None or curves.coordinates is None:
        return None
    count = record.hyperparameters[1]
    with single_thread():
        if not count or curves.count >= count * (1 + _MORE):
            generator = np.random.default_rng([curves.count, *random])
            hyper = improved(found.looks, hyper, generator, _STEPS if count else _FIRST)
            kept = _without_useless(hyper, len(found.curves))
            if kept is not hyper:
                found = _seen(study, reporting, kept) or found
                hyper = improved(found.looks, kept, generator, _FIRST)
            if keep:
                record.set_hyperparameters(hyper.values, curves.count)
        process = Process(found.looks, hyper)
    tried = np.stack(list(curves.tried.values()))
    return Forecast(curves.coordinates, curves.epochs, found, tried, process, random)


def misled(study: Study) -> bool:
    """Tell whether a study was begun from others, all of which were left out since."""
    return bool(sources_of(study).copies) and not _known(study).used


def _known(study: Study) -> Hyperparameters:
    """Return the hyperparameters that were found last, the means of the priors before."""
    curves, sources = curves_of(study), len(sources_of(study).copies)
    known, count = StudyRecord(study).hyperparameters
    if count:
        return Hyperparameters(known, sources)
    parameters = len(curves.coordinates.distributions) if curves.coordinates else 0
    return Hyperparameters.prior(parameters, sources)


def _seen(study: Study, reporting: FrozenTrial | None, hyper: Hyperparameters) -> Seen | None:
    """Return the looks of a study, and those at its sources that are not left out."""
    curves, sources = curves_of(study), sources_of(study)
    found = seen(curves, reporting, sources.most(hyper.used))
    return found and replace(found, looks=sources.beside(found.looks, curves, hyper.used))


def _without_useless(found: Hyperparameters, trials: int) -> Hyperparameters:
    """Return the same, or where a source says next to nothing, what to begin anew with.

    The others begin from their priors: what the source had to do with shaped them too.

    Args:
        found: hyperparameters that fit the looks.
        trials: number of the study's own trials with a value.
    """
    useless = {place for place in found.used if found.shared[place + 1] < USEFUL}
    if not useless or trials < ENOUGH:
        return found
    left_out = useless | ({*range(found.sources)} - {*found.used})
    return Hyperparameters.prior(found.parameters, found.sources).without(left_out)
