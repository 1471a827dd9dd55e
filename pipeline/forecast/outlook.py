"""What further trials of a search may be expected to gain, beside what its judge can tell."""

from dataclasses import dataclass

from optuna.trial import TrialState

from pipeline.forecast.decision import forecast
from pipeline.forecast.guard import GUARD, guarded
from pipeline.study.contracts import Queue
from pipeline.study.followed_storage import index_of
from pipeline.study.judge_noise import noise_of_difference
from pipeline.study.records import StudyRecord

TRAININGS = 4
"""Number of further full trainings whose gain is looked at."""

_THIS = 1  # tells the outlook's chance from that of other decisions


@dataclass(frozen=True)
class Outlook:
    """What is expected, in units of robust accuracy.

    gain: gain of `TRAININGS` further trainings over the best, at most.
    noise: standard deviation of the difference between two equal trials, as they are judged.
    """

    gain: float
    noise: float

    @property
    def pointless(self) -> bool:
        """Whether the gain is less than the judge could tell."""
        return self.gain < self.noise

    def in_words(self) -> str:
        """Return it as a sentence."""
        expected = (
            f"{TRAININGS} further trainings are expected to gain at most {self.gain:.3f}, and two "
            f"equal ones differ by {self.noise:.3f} as they are judged"
        )
        return f"{expected}: more of them are pointless" if self.pointless else expected


def outlook(study: StudyRecord) -> Outlook | None:
    """Return the outlook of a study; None while too little is known, or for a front.

    It is that of the model of learning curves, whatever chose the trials.
    """
    noise = noise_of_difference(study)
    if noise is None or guarded(study.study, GUARD) or study.objective != "robust":
        return None
    random = (study.seed, len(index_of(study.study)), 0, _THIS)
    found = forecast(study.study, random, keep=False)
    return None if found is None else Outlook(found.expected_gain(TRAININGS), noise)


@dataclass(frozen=True)
class UntilNoise:
    """Ends a search where further trials are pointless; what was begun goes on.

    study: the search.
    inner: what else decides which trials are still to come.
    """

    study: StudyRecord
    inner: Queue

    @property
    def total(self) -> int | None:
        """Number of trials that the study shall have at most."""
        return self.inner.total

    def refill(self) -> None:
        """Look whether a new trial is worth beginning; what is found stays so."""
        self.inner.refill()
        if self.study.pointless or index_of(self.study.study).count(TrialState.WAITING):
            return
        found = outlook(self.study)
        if found is not None and found.pointless:
            self.study.set_pointless(found.in_words())

    def empty(self) -> bool:
        """Tell whether nothing waits, and no new trial is worth beginning."""
        if not self.study.pointless:
            return self.inner.empty()
        return not index_of(self.study.study).count(TrialState.WAITING)
