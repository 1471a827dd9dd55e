"""How much of what a study was asked for is used."""

from pipeline.study.effort import effort_of
from pipeline.study.records import StudyRecord


def progress(study: StudyRecord) -> float:
    """Return the share, in [0, 1], of its extent that a study has used.

    It is the largest share over the limits that the extent stores: epochs trained, seconds, trials
    begun; 0 where there is none. The cost does not grow with the study.
    """
    extent, effort = study.extent, effort_of(study.study)
    used = {"epochs": effort.trained, "budget": study.seconds, "trials": effort.begun}
    shares = (used[name] / extent[name] for name in used if extent.get(name))
    return min(1.0, max(shares, default=0.0))
