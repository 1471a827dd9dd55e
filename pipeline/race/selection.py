"""What choosing the best of many does to its value, and from which others it can't be told.

The best of several measured values is on average the one with the most luck. How much of it is
luck follows from the spread of the values beside the noise of one (Efron, 2011): where they lie
close together most of the lead is noise, where the best stands apart hardly any.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from pipeline.study.judge_noise import SEED_ALONE, difference, noise_of_difference
from pipeline.study.ranking import candidates, count_states, violates
from pipeline.study.records import StudyRecord, TrialRecord

LEVEL = 0.05
"""Probability of calling any of several equals worse than the best."""
_FEWEST = 4
"""Values that a spread is taken from at least."""


@dataclass(frozen=True)
class Selection:
    """What the best trial of a search is worth once it is known that it was chosen.

    best: the trial.
    expected: its robust accuracy when it is trained again, in [0, 1].
    alike: numbers of the trials that it can't be told from, the best first.
    """

    best: TrialRecord
    expected: float
    alike: tuple[int, ...]

    @property
    def luck(self) -> float:
        """How much of the value is expected to be luck, at least 0."""
        return self.best.final.robust - self.expected


def selection(study: StudyRecord, alone: float = SEED_ALONE) -> Selection | None:
    """Return what the best trial is worth; None where too few trials are known with their images.

    Trials that were stopped would have ended below the upper half of the others: they count by
    their number alone.

    Args:
        study: the search.
        alone: as of `noise_of_difference`.
    """
    complete = candidates(study)
    noise = noise_of_difference(study, alone)
    if noise is None or len(complete) < _FEWEST:
        return None
    values = [trial.final.robust for trial in complete]
    below = count_states(study)["PRUNED"] + sum(
        trial.state == "COMPLETE" and violates(trial) for trial in study.trials()
    )
    luck = expected_luck(values, noise / math.sqrt(2), below)
    return Selection(complete[0], values[0] - luck, alike(complete, alone))


def expected_luck(values: Sequence[float], noise: float, below: int = 0) -> float:
    """Return by how much the largest of several measured values is expected to exceed its truth.

    True values are taken to be normal near the top: mean and spread are those with which the upper
    half of the values is likeliest, of the others only that they are lower. Then the largest one
    is shrunk towards that mean as the noise demands (empirical Bayes). A fit to all values would
    be led by what is far below, whose spread says nothing of the top.

    Args:
        values: measured values, in any order, at least two.
        noise: standard deviation of each one's noise.
        below: number of further ones that are known to be lower than the upper half.
    """
    from scipy.optimize import minimize
    from scipy.special import log_ndtr

    ordered = np.sort(np.asarray(values, dtype=float))[::-1]
    total = len(ordered) + below
    upper = ordered[: min(len(ordered), max(_FEWEST, math.ceil(len(ordered) / 2)))]
    lower = total - len(upper)

    def unlikely(point: Sequence[float]) -> float:
        """Return minus the log-likelihood of a mean, and of the log of the true spread."""
        mean, spread = point[0], math.hypot(noise, math.exp(min(point[1], 0.0)))
        apart = (upper - mean) / spread
        censored = lower * float(log_ndtr((upper[-1] - mean) / spread))
        return float((apart**2).sum()) / 2 + len(upper) * math.log(spread) - censored

    wide = (float(np.median(ordered)), math.log(float(ordered.std()) + noise / 10))
    narrow = (float(upper.mean()), math.log(noise / 2))
    fits = [minimize(unlikely, start, method="Nelder-Mead") for start in (wide, narrow)]
    mean, spread = min(fits, key=lambda fit: float(fit.fun)).x
    share = noise**2 / (noise**2 + math.exp(2 * spread))
    return max(0.0, share * float(ordered[0] - mean))


def alike(complete: Sequence[TrialRecord], alone: float = SEED_ALONE) -> tuple[int, ...]:
    """Return the trials that the best can't be told from, by number, the best first.

    The difference on the same images, with what a seed does to each of both, is held against a
    normal; levels are divided by Holm's rule (1979) over all comparisons with the best.

    Args:
        complete: candidates, the best first.
        alone: as of `noise_of_difference`.
    """
    best, others = complete[0], complete[1:]
    tested = [(_p_value(best, other, alone), other.number) for other in others]
    tested.sort()
    told = itertools.takewhile(
        lambda place: place[1][0] <= LEVEL / (len(tested) - place[0]), enumerate(tested)
    )
    apart = {number for _, (_, number) in told}
    return tuple(other.number for other in others if other.number not in apart)


def _p_value(best: TrialRecord, other: TrialRecord, alone: float) -> float:
    """Return how likely equals differ by as much, two-sided; 1 where images aren't known."""
    found = difference(best, other)
    if found is None:
        return 1.0
    noise = math.sqrt(found.variance + 2 * alone**2)
    return 2 * NormalDist().cdf(-abs(found.value) / noise)
