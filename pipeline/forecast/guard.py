"""The first trials of a search, of which the model learns: random, and stopped by halving."""

from optuna.study import Study

from pipeline.forecast.curves import curves_of
from pipeline.study.followed_storage import index_of
from pipeline.study.records import StudyRecord

GUARD = 16
"""First trials, at most: on smooth tasks fewer are enough, but where an early epoch says little
about the end, a model of a few curves is wrong (`benchmarks/README.md`)."""

_FEWER, _ENOUGH = 10, 16
"""First trials of a search of so many full trainings or more, which leaves room for what was
learnt; a shorter one stays with halving for longer."""


def first_trials(record: StudyRecord, most: int) -> int:
    """Return the number of first trials of a study.

    Args:
        record: the study.
        most: the number where it is short, or limited by other things than trainings.
    """
    epochs = curves_of(record.study).epochs
    trainings = record.extent.get("epochs", 0) / epochs if epochs else 0
    return min(most, _FEWER) if trainings >= _ENOUGH else most


def guarded(study: Study, most: int) -> bool:
    """Tell whether no more than the first trials have been begun."""
    return len(index_of(study)) <= first_trials(StudyRecord(study), most)
