"""Failed trials: which of them may be tried again, and why trials failed."""

from collections import Counter
from collections.abc import Callable

from pipeline.study import optuna_private
from pipeline.study.controller import DIVERGED
from pipeline.study.records import StudyRecord, TrialRecord


def failed(study: StudyRecord) -> list[TrialRecord]:
    """Return the trials that failed."""
    return [trial for trial in study.trials() if trial.state == "FAIL" and trial.begun]


def repeatable(study: StudyRecord) -> list[TrialRecord]:
    """Return the failed trials that may end otherwise once their cause is mended.

    One that diverged does so again: the same numbers follow from the same seed.
    """
    return [trial for trial in failed(study) if not trial.reason.startswith(DIVERGED)]


def reopen(
    study: StudyRecord, load: Callable[[], StudyRecord | None]
) -> tuple[StudyRecord, tuple[int, ...]]:
    """Open the repeatable failures of a study again.

    A kill before `StudyController.try_again` leaves them RUNNING with the outcome that they had,
    so that the next session closes them again.

    Args:
        study: the study.
        load: function that loads it anew.

    Returns:
        the study as it is now, and the numbers for `StudyController.try_again`.
    """
    found = repeatable(study)
    if not found:
        return study, ()
    optuna_private.reopen(study.study, [trial.frozen for trial in found])
    loaded = load()
    assert loaded is not None, "it was there a moment ago"
    return loaded, tuple(trial.number for trial in found)


def in_words(trials: list[TrialRecord]) -> str:
    """Return in words how many trials failed and why, the most frequent reason first."""
    counts = Counter(trial.reason or "no reason is known" for trial in trials)
    first, more = counts.most_common(1)[0][0], len(counts) - 1
    also = f", and {more} other reason{'s' * (more > 1)}" if more else ""
    plural = "s" * (len(trials) > 1)
    return f"{len(trials)} trial{plural} failed ({first}{also})"
