"""The first trials of a search, of which the model learns: random, and stopped by halving."""

import sys

from optuna.study import Study

from pipeline.forecast.curves import curves_of
from pipeline.forecast.decision import misled
from pipeline.study.followed_storage import index_of
from pipeline.study.records import StudyRecord

GUARD = 16
"""First trials, at most: on smooth tasks fewer are enough, but where an early epoch says little
about the end, a model of a few curves is wrong (`benchmarks/README.md`)."""

_FEWEST, _SHORT = 10, 16
"""First trials, at least; and full trainings below which a search is too short to learn from: it
stays with halving to its end. With a model after 16 trials a short replay lost .0011 (.0005)."""

_MISLED = 6
"""First trials where all sources were left out. What these had proposed reported first and was bad,
so nearly all that came after it passed halving."""


def first_trials(record: StudyRecord, most: int) -> int:
    """Return the number of first trials: half of the trainings, all of a short search.

    Args:
        record: the study.
        most: the number at most, and where no number of trainings limits the study.
    """
    whole, limit = curves_of(record.study).epochs, record.extent.get("epochs")
    if limit is None or not whole:
        return most
    trainings = limit / whole
    return sys.maxsize if trainings < _SHORT else min(most, max(_FEWEST, int(trainings / 2)))


def guarded(study: Study, most: int) -> bool:
    """Tell whether no more than the first trials have been begun."""
    few = min(most, _MISLED) if misled(study) else first_trials(StudyRecord(study), most)
    return len(index_of(study)) <= few
