"""Which searched parameters matter, and how sure that is.

A parameter's importance is its total effect (Sobol', 1993; Homma and Saltelli, 1996): the share of
the variance of robust accuracy over the whole space that is left when all others are fixed, what it
does together with them included. Accuracies at points that were never trained are those of a
Gaussian process, drawn from its posterior, with hyperparameters drawn from theirs: where little is
known the draws disagree, and the interval is wide. So it doesn't matter either where the sampler
looked most often.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from pipeline.forecast.coordinates import Coordinates
from pipeline.forecast.gaussian_process import Hyperparameters, Looks, Process, improved
from pipeline.forecast.single_thread import single_thread
from pipeline.study.records import StudyRecord, TrialRecord

FEWEST = 10
"""Trials below which nothing is said at all."""
LITTLE, MUCH = 0.15, 0.2
"""Importances below which a parameter hardly matters, and above which it matters, for certain."""

_MOST = 160  # trials that the process is given
_SEARCHED, _STEPS, _APART = 60, 240, 12  # steps to likely hyperparameters; then of the chain
_POINTS, _DRAWS = 48, 3  # of the space, and of the process with each hyperparameters
_LOWEST = -2.5  # deviations below the mean; what is worse counts as this

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Importance:
    """A parameter's share of the variance, in [0, 1], with its interval at 90 %.

    Shares of several parameters may add to more than 1: what two do together counts for both.
    """

    value: float
    low: float
    high: float


def importances(study: StudyRecord) -> Mapping[str, Importance]:
    """Return parameter -> its importance, the largest first; {} where too few trials tell.

    A trial that was stopped counts with its last value and what complete trials gained, in the
    median, from that epoch to their end: those that ended are the good ones, and they alone would
    hide what made the others bad.
    """
    known = _spread(_values(study))
    if len(known) < FEWEST or not study.searched:
        return {}
    trials = [trial for trial, _ in known]
    first = trials[0].frozen.distributions
    space = Coordinates({name: first[name] for name in sorted(first)})
    values = np.array([value for _, value in known])
    if not values.std() > 0:
        return {}
    heights = np.maximum((values - values.mean()) / values.std(), _LOWEST)
    points = space.points(np.stack([space.shares(trial.params) for trial in trials]))
    nothing = np.zeros(len(trials))
    looks = Looks(points, space.owners, np.arange(len(trials)), nothing, heights)
    generator = np.random.default_rng(study.seed)
    with single_thread():
        found = np.array(list(_effects(space, looks, generator)))
    if not len(found):
        return {}
    low, middle, high = np.quantile(found, (0.05, 0.5, 0.95), axis=0)
    each = {
        name: Importance(*(float(one[place]) for one in (middle, low, high)))
        for place, name in enumerate(space.distributions)
    }
    return dict(sorted(each.items(), key=lambda pair: -pair[1].value))


def told(study: StudyRecord) -> int:
    """Return the number of trials that importances are taken from, all of them counted."""
    return len(_values(study))


def importances_in_words(found: Mapping[str, Importance], count: int) -> str:
    """Return in a sentence or two which parameters matter.

    Args:
        found: what `importances` returned.
        count: what `told` returned.
    """
    if not found:
        return f"Which parameter matters can't be said with n = {count} trials."
    sure = [name for name, one in found.items() if one.low >= MUCH]
    hardly = [name for name, one in found.items() if one.high <= LITTLE]
    open_ = [name for name in found if name not in (*sure, *hardly)]
    said = []
    if sure:
        shown = "; ".join(f"{name} matters: {_range(found[name])}" for name in sure)
        said.append(f"{shown} of the variance of robust accuracy over the space.")
    if hardly:
        said.append(f"{_listed(hardly)} hardly matter{'s' * (len(hardly) == 1)}.")
    if open_:
        said.append(
            f"Whether {_listed(open_)} matter{'s' * (len(open_) == 1)} is open, by n = {count} "
            "trials."
        )
    return " ".join(said)


def _range(one: Importance) -> str:
    return f"{100 * one.low:.0f} to {100 * one.high:.0f} %"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _values(study: StudyRecord) -> list[tuple[TrialRecord, float]]:
    """Return trials that have a value, with what they would have ended with."""
    trials = [t for t in study.trials() if t.state in ("COMPLETE", "PRUNED") and t.values]
    complete = [trial for trial in trials if trial.final_robust is not None]
    gains: dict[int, float] = {}

    def ended(trial: TrialRecord) -> float:
        if trial.final_robust is not None:
            return trial.final_robust
        last = max(trial.values)
        if last not in gains:
            gains[last] = median(
                [
                    one.final_robust - one.values[last]
                    for one in complete
                    if one.final_robust is not None and last in one.values
                ]
                or [0.0]
            )
        return trial.values[last] + gains[last]

    found = [(trial, ended(trial)) for trial in trials]
    return [(trial, value) for trial, value in found if math.isfinite(value)]


def _spread(found: Sequence[tuple[TrialRecord, float]]) -> list[tuple[TrialRecord, float]]:
    """Return so many of them as a process can take, from the best to the worst alike."""
    if len(found) <= _MOST:
        return list(found)
    ordered = sorted(found, key=lambda pair: pair[1])
    places = np.linspace(0, len(ordered) - 1, _MOST).round().astype(int)
    return [ordered[place] for place in places]


def _effects(space: Coordinates, looks: Looks, generator: np.random.Generator) -> Iterator[Numbers]:
    """Yield (parameters,) total effects, each of another draw of the process."""
    parameters = len(space.distributions)
    for process in _likely(looks, parameters, generator):
        base, other = (space.random(generator, _POINTS) for _ in range(2))
        shares = [base]
        for place in range(parameters):
            changed = base.copy()
            changed[:, place] = other[:, place]
            shares.append(changed)
        points = space.points(np.concatenate([*shares, other]))
        drawn = process.draw(points, _DRAWS, generator).reshape(_DRAWS, parameters + 2, _POINTS)
        for heights in drawn:
            variance = float(heights[[0, -1]].var())
            # Jansen, 1999
            left = ((heights[1:-1] - heights[0]) ** 2).mean(axis=1) / 2
            yield np.minimum(left / max(variance, 1e-12), 1.0)


def _likely(looks: Looks, parameters: int, generator: np.random.Generator) -> Iterator[Process]:
    """Yield processes whose hyperparameters are drawn from their posterior (Metropolis)."""
    known = improved(looks, Hyperparameters.prior(parameters), generator, _SEARCHED)
    process = Process(looks, known)
    for step in range(_STEPS):
        tried = known.changed(generator)
        threshold = math.log(generator.random())
        try:
            candidate = Process(looks, tried)
        except np.linalg.LinAlgError:
            continue
        if candidate.log_posterior - process.log_posterior > threshold:
            known, process = tried, candidate
        if step % _APART == _APART - 1:
            yield process
