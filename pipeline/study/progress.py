"""How much of what a study was asked for is used."""

<<<<<<< HEAD
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial

from pipeline.study.followed_storage import index_of
from pipeline.study.records import StudyRecord, TrialRecord


@dataclass
class _Trained:
    """A view of the epochs that trials have trained."""

    each: dict[int, int] = field(default_factory=dict)
    total: int = 0
    whole: int = 0

    def put(self, trial: FrozenTrial) -> None:
        record = TrialRecord(trial)
        self.total -= self.each.get(trial.number, 0)
        self.each[trial.number] = record.last_epoch
        self.total += record.last_epoch
        if record.begun and not self.whole:
            self.whole = record.total_epochs


def progress(study: StudyRecord) -> float:
    """Return the share in [0, 1] that is used."""
    trained = index_of(study.study).view("trained", _Trained())
    extent = study.extent
    found = [0.0]
    if extent.get("trainings") and trained.whole:
        found.append(trained.total / (extent["trainings"] * trained.whole))
    if extent.get("budget"):
        found.append(study.seconds / extent["budget"])
    if extent.get("trials"):
        found.append(len(index_of(study.study)) / extent["trials"])
    return min(1.0, max(found))
=======
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
>>>>>>> main
