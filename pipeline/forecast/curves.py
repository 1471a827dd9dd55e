"""The learning curves of a study's trials, kept as they are reported, and made into looks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.forecast.coordinates import Coordinates
from pipeline.forecast.gaussian_process import Looks
from pipeline.study.followed_storage import index_of
from pipeline.study.ranking import violates
from pipeline.study.records import TrialRecord

MOST = 350
"""Looks that a process is given at most: its cost grows with their third power."""

LOWEST = -2.5
"""Standardised values below are cut: how bad a bad training is tells nothing of the best."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """What was reported of one trial.

    shares: (parameters,) its configuration, see `Coordinates`.
    epochs, values: epochs that have a value, ascending, and those values.
    final: the objective; None for a trial that is not complete.
    worst: whether it violates a constraint.
    """

    number: int
    shares: Numbers
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    final: float | None
    worst: bool


@dataclass
class Curves:
    """A view of all trials that have a value, but for those that failed."""

    coordinates: Coordinates | None = None
    epochs: int = 0  # of a full training
    known: dict[int, Curve] = field(default_factory=dict)  # by number of the trial
    count: int = 0  # of their values
    tried: dict[int, Numbers] = field(default_factory=dict)  # shares of all that were begun

    def put(self, trial: FrozenTrial) -> None:
        """Take a trial."""
        before = self.known.pop(trial.number, None)
        self.count -= len(before.epochs) if before else 0
        curve = self.curve(trial)
        if curve is not None:
            self.known[trial.number] = curve
            self.count += len(curve.epochs)

    def curve(self, trial: FrozenTrial) -> Curve | None:
        """Return the curve of a trial; None where it has no value, or failed."""
        record = TrialRecord(trial)
        if not record.begun:
            return None
        if self.coordinates is None:
            self.coordinates = Coordinates(dict(sorted(trial.distributions.items())))
            self.epochs = record.total_epochs
        if trial.number not in self.tried:
            self.tried[trial.number] = self.coordinates.shares(trial.params)
        pairs = sorted((e, v) for e, v in record.values.items() if math.isfinite(v))
        if not pairs or trial.state == TrialState.FAIL:
            return None
        epochs, values = zip(*pairs, strict=True)
        final, worst = record.final_robust, violates(record)
        return Curve(trial.number, self.tried[trial.number], epochs, values, final, worst)


def curves_of(study: Study) -> Curves:
    """Return a study's curves, kept current from the first call on."""
    return index_of(study).view("curves", Curves())


@dataclass(frozen=True)
class Scale:
    """Values as the process sees them: -log(c - value), standardised; c lies above the best.

    Differences between good values count for more than those between bad ones.
    """

    ceiling: float
    mean: float
    deviation: float
    best: float  # of the values

    @classmethod
    def of(cls, values: Numbers, latest: Numbers) -> "Scale":
        """Fit it to values; `latest` are those that the trials reported last."""
        best = float(values.max())
        ceiling = best + 0.3 * max(best - float(np.median(latest)), 0.0) + 1e-4
        raw = -np.log(ceiling - values)
        return cls(ceiling, float(raw.mean()), max(float(raw.std()), 1e-9), best)

    def at(self, values: Numbers) -> Numbers:
        """Return values on this scale; what lies at the ceiling or above has no place there."""
        return (-np.log(self.ceiling - values) - self.mean) / self.deviation

    def value(self, heights: Numbers) -> Numbers:
        """Return the values at places of this scale; all lie below the ceiling."""
        return self.ceiling - np.exp(-(self.mean + heights * self.deviation))

    def target(self, value: float) -> float:
        """Return the place of a value that may lie above the ceiling.

        There it counts as one deviation above the best.
        """
        if value >= self.ceiling:
            return float(self.at(np.array([self.best]))[0]) + 1.0
        return float(self.at(np.array([value]))[0])


@dataclass(frozen=True)
class Seen:
    """The looks of a study, and what they mean.

    curves: curves that the looks are at, in the order of `looks.points`.
    latest: (trials,) value that each reported last, as it counts here.
    """

    curves: Sequence[Curve]
    looks: Looks
    scale: Scale
    latest: Numbers


def seen(known: Curves, reporting: FrozenTrial | None, most: int = MOST) -> Seen | None:
    """Make looks of what is known of a study; None where that is less than two trials.

    Args:
        known: its curves.
        reporting: a trial with an epoch that is not stored yet, if there is one.
        most: number of looks, at most.
    """
    each = dict(known.known)
    if reporting is not None:
        each.pop(reporting.number, None)
        curve = known.curve(reporting)
        each |= {} if curve is None else {curve.number: curve}
    if known.coordinates is None or len(each) < 2:
        return None
    number = None if reporting is None else reporting.number
    curves = kept([each[key] for key in sorted(each)], number, most)
    columns = counted(curves)
    latest = np.array([values[-1] for values in columns])
    chosen = thinned(curves, latest, known.epochs, most)
    trial = np.array([place for place, _ in chosen])
    epoch = np.array([math.log(curves[place].epochs[at]) for place, at in chosen])
    values = np.array([columns[place][at] for place, at in chosen])
    scale = Scale.of(values, latest)
    points = known.coordinates.points(np.stack([curve.shares for curve in curves]))
    height = np.maximum(scale.at(values), LOWEST)
    return Seen(
        curves, Looks(points, known.coordinates.owners, trial, epoch, height), scale, latest
    )


def kept(curves: list[Curve], reporting: int | None, most: int) -> list[Curve]:
    """Return the curves that looks are made of: where there are too many, best and latest ones."""
    if len(curves) <= most // 2:
        return curves
    best = sorted(curves, key=lambda curve: -curve.values[-1])[: most // 4]
    late = sorted(curves, key=lambda curve: -curve.number)[: most // 4]
    kept = {curve.number for curve in (*best, *late)} | {reporting}
    return [curve for curve in curves if curve.number in kept]


def counted(curves: Sequence[Curve]) -> list[list[float]]:
    """Return the values of each curve as they count.

    A complete trial's last one is the objective, moved by what the stronger attack takes in the
    median; that of a trial which violates a constraint is the lowest of all.
    """
    gaps = [curve.values[-1] - curve.final for curve in curves if curve.final is not None]
    gap = float(np.median(gaps)) if gaps else 0.0
    lowest = min(min(curve.values) for curve in curves)
    found = []
    for curve in curves:
        values = list(curve.values)
        if curve.final is not None:
            values[-1] = curve.final + gap
        if curve.worst:
            values[-1] = lowest
        found.append(values)
    return found


def thinned(
    curves: Sequence[Curve], latest: Numbers, epochs: int, most: int
) -> list[tuple[int, int]]:
    """Return the looks as (place of the curve, place in the curve), at most `most`.

    Of each curve those at epochs that lie apart by a factor of a half, at least, and the last; if
    that is too many, the last of each and then the best curves.
    """
    apart = log_spaced(epochs)
    found = [(place, len(curve.epochs) - 1) for place, curve in enumerate(curves)]
    for place in np.argsort(-latest, kind="stable").tolist():
        of = curves[place].epochs
        more = [(place, at) for at in range(len(of) - 1) if of[at] in apart]
        if len(found) + len(more) > most:
            break
        found += more
    return sorted(found)


def log_spaced(epochs: int) -> set[int]:
    """Return epochs whose logarithms lie apart, all of a short training."""
    if epochs <= 12:
        return set(range(1, epochs + 1))
    return {round(epochs ** (step / 11)) for step in range(12)}
