"""The effort of a study: epochs that were trained, and those that what was begun may still need."""

from dataclasses import dataclass, field

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.study.followed_storage import index_of
from pipeline.study.records import TrialRecord


@dataclass(frozen=True)
class Trainings:
    """A limit of effort, whatever the number of trials.

    count: full trainings that all trials together may take.
    epochs: epochs of one full training.
    """

    count: int
    epochs: int

    @property
    def most(self) -> int:
        """Epochs that all trials together may train."""
        return self.count * self.epochs

    def in_words(self, trained: int) -> str:
        """Return '23 of 32 trainings used'.

        Args:
            trained: epochs that were trained.
        """
        used = f"{trained / self.epochs:.1f}".removesuffix(".0")
        return f"{used} of {self.count} training{'s' * (self.count != 1)} used"


@dataclass(frozen=True)
class _Share:
    """What a trial adds to the sums of `Effort`."""

    trained: int = 0
    needed: int = 0
    begun: int = 0
    blank: frozenset[int] = frozenset()


@dataclass
class Effort:
    """A view of what all trials have trained and may still need. Epochs count once, however often
    a kill made a worker train them anew.

    trained: epochs that the study knows.
    needed: epochs that are left of the trials that were begun and have not ended.
    begun: number of trials that were ever begun.
    blank: numbers of the trials that run and have no configuration yet.
    """

    trained: int = 0
    needed: int = 0
    begun: int = 0
    blank: set[int] = field(default_factory=set)
    _shares: dict[int, _Share] = field(default_factory=dict)  # by number of the trial

    def put(self, trial: FrozenTrial) -> None:
        """Take a trial."""
        old, new = self._shares.get(trial.number, _Share()), _share(trial)
        self.trained += new.trained - old.trained
        self.needed += new.needed - old.needed
        self.begun += new.begun - old.begun
        self.blank = self.blank - old.blank | new.blank
        self._shares[trial.number] = new

    def taken(self, epochs: int) -> int:
        """Return the epochs that were trained, or that a trial has begun to train.

        Args:
            epochs: epochs of one full training.
        """
        return self.trained + self.needed + epochs * len(self.blank)


def _share(trial: FrozenTrial) -> _Share:
    record = TrialRecord(trial)
    if not record.begun:
        running = record.frozen.state == TrialState.RUNNING
        return _Share(blank=frozenset({trial.number} if running else ()))
    trained = record.last_epoch
    return _Share(trained, 0 if record.ended else record.total_epochs - trained, 1)


def effort_of(study: Study) -> Effort:
    """Return the effort of a study, kept current from the first call on."""
    return index_of(study).view("effort", Effort())
