"""How far two trials of a study differ by chance: as images judge them, and as seeds move them.

All trials of a search have one seed and the same images. What that seed and these images do to all
of them alike is no difference; what they do to each of them alone is luck.
"""

import itertools
import math
from collections.abc import Sequence
from statistics import fmean

from pipeline.study.ranking import complete, violates
from pipeline.study.records import StudyRecord, TrialRecord
from regmix.evaluation.paired import PairedDifference, paired
from regmix.evaluation.results import FinalEvaluation

SEED_COMMON, SEED_ALONE, SEED_FLIPS = 0.011, 0.011, 0.036
"""What a fresh seed does to a training, stated where there are no seeds to compare: the standard
deviation of robust accuracy that moves all configurations alike; that of each one alone on very
many images; and the variance of a single image, which flips. On 400 images the last two come to
0.0145. Found on digits: 17 configurations with 4 seeds (`benchmarks/selection.py`), 8 with 8."""
COMPARED = 8
"""Number of the best trials whose disagreement is taken for that of any two good ones."""


def difference(one: TrialRecord, other: TrialRecord) -> PairedDifference | None:
    """Return how two complete trials differ; None where it isn't known which images survive."""
    return paired(one.final, other.final)


def noise_of_difference(study: StudyRecord, alone: float = SEED_ALONE) -> float | None:
    """Return the standard deviation of the difference between two equal trials as judged here.

    Args:
        study: the search.
        alone: what a seed does to one configuration alone, as a standard deviation on very many
            images; a race knows it of its own task.

    Returns:
        in units of robust accuracy; None before two candidates are known with their images.
    """
    best = (study.trial(number) for number in complete(study).best(COMPARED))
    return noise_between([trial.final for trial in best if not violates(trial)], alone)


def noise_between(
    evaluations: Sequence[FinalEvaluation], alone: float = SEED_ALONE
) -> float | None:
    """Return the same from the evaluations of good trials.

    Two equal trials disagree on some images by chance, as many as the good ones do between them,
    and their trainings had each its own luck.
    """
    pairs = (paired(*pair) for pair in itertools.combinations(evaluations, 2))
    variances = [found.variance for found in pairs if found is not None]
    return math.sqrt(fmean(variances) + 2 * alone**2) if variances else None
