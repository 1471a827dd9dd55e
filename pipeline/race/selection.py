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
from pipeline.study.ranking import candidates
from pipeline.study.records import StudyRecord, TrialRecord

LEVEL = 0.05
"""Probability of calling any of several equals worse than the best."""
_FEWEST = 4
"""Values that a distribution is taken from at least."""
_TRUTHS, _STEPS = 200, 100
"""Points of the distribution of true values, and steps of expectation and maximisation to it."""


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

    Trials that were stopped would have ended lower, mostly: of the best they say nothing.

    Args:
        study: the search.
        alone: as of `noise_of_difference`.
    """
    complete = candidates(study)
    noise = noise_of_difference(study, alone)
    if noise is None or len(complete) < _FEWEST:
        return None
    values = [trial.final.robust for trial in complete]
    luck = expected_luck(values, noise / math.sqrt(2))
    return Selection(complete[0], values[0] - luck, alike(complete, alone))


def expected_luck(values: Sequence[float], noise: float) -> float:
    """Return by how much the largest of several measured values is expected to exceed its truth.

    The distribution of true values is the one with which the measured ones are likeliest, whatever
    its shape (Kiefer and Wolfowitz, 1956; empirical Bayes): what a sampler finds is a crowd of good
    trials and a tail of bad ones, and a normal that is fitted to both takes the crowd for good
    trials that differ. It is approached from a flat one in so many steps that a few values do not
    become its only points (Laird and Louis, 1991).

    Args:
        values: measured values, in any order, at least one.
        noise: standard deviation of each one's noise, above 0.
    """
    measured = np.asarray(values, dtype=float)
    truths = np.linspace(measured.min(), measured.max(), _TRUTHS)
    likelihood = np.exp(-(((measured[:, None] - truths) / noise) ** 2) / 2)
    prior = np.full(_TRUTHS, 1 / _TRUTHS)
    for _ in range(_STEPS):
        posterior = likelihood * prior
        posterior /= posterior.sum(axis=1, keepdims=True)
        prior = posterior.mean(axis=0)
    chosen = likelihood[measured.argmax()] * prior
    return float(measured.max() - chosen @ truths / chosen.sum())


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
