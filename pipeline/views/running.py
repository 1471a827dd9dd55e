"""What is known of a search that runs: its trials, the best, and how long it still takes."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from math import inf

from pipeline.study.budget import OVERRUN, Pace, TimeBudget
from pipeline.study.effort import Trainings
from pipeline.study.judge_noise import difference
from pipeline.study.ranking import violates
from pipeline.study.records import StudyRecord, TrialRecord
from pipeline.views.formatting import duration
from regmix.progress import Phase

_LATELY = 8  # ended trials that are kept
_CERTAIN = 1.5  # the first epoch of all is slow: only so far beyond the budget it counts alone


class RunningSearch:
    """Follows the trials of a study; asking it costs the same however many have ended."""

    def __init__(
        self,
        study: StudyRecord,
        total: int | None,
        budget: TimeBudget,
        trainings: Trainings | None = None,
        at_once: int = 1,
        expected: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know nothing yet.

        Args:
            study: the study.
            total: number of trials that the study shall have at most; None for no limit.
            budget: the time that the study may take.
            trainings: the effort that the study may take; None for no limit.
            at_once: number of trials that run at once.
            expected: pace of its trials, until one of them is complete; None where nobody knows.
            clock: what tells the time, s.
        """
        self.study, self.total, self.budget, self.trainings = study, total, budget, trainings
        self.at_once, self._clock, self._begun = at_once, clock, clock()
        self._expected = expected
        self.going: dict[int, TrialRecord] = {}  # those that have not ended, by number
        self.lately: deque[TrialRecord] = deque(maxlen=_LATELY)  # those that ended last, in order
        self.phases: Mapping[int, Phase] = {}  # of those that run, as far as known
        self.best: TrialRecord | None = None
        self._default: TrialRecord | None = None
        self._ended, self._ended_here, self._complete = set[int](), 0, False
        self._epochs = dict[int, int]()  # that each trial has trained
        self._since = dict[int, float]()  # when each that goes on was heard of last
        self.trained = self._trained_before = 0  # epochs of all trials; those of earlier sessions
        self._full = 0  # epochs of a whole run; 0 while none is known

    def begin(self) -> None:
        """Take what earlier sessions left, those that ended last at the end."""
        trials = self.study.trials()
        for trial in sorted(trials, key=lambda trial: str(trial.frozen.datetime_complete or "")):
            self.take(trial)
        self._trained_before, self._ended_here = self.trained, 0

    def take(self, trial: TrialRecord) -> None:
        """Take over a trial's new state; one that has ended does not change any more."""
        epochs = trial.last_epoch
        self.trained += epochs - self._epochs.get(trial.number, 0)
        self._epochs[trial.number] = epochs
        if trial.begun:
            self._full = trial.total_epochs
        if not trial.ended:
            self.going[trial.number] = trial
            self._since[trial.number] = self._clock()
            return
        self.going.pop(trial.number, None)
        self._since.pop(trial.number, None)
        self._ended.add(trial.number)
        self._ended_here += 1
        self.lately.append(trial)
        if trial.state == "COMPLETE":
            self._take_complete(trial)

    def _take_complete(self, trial: TrialRecord) -> None:
        self._complete = True
        if trial.is_default:
            self._default = trial
        if not violates(trial):
            known = self.best
            if known is None or trial.final.robust > known.final.robust:
                self.best = trial

    @property
    def unit(self) -> str:
        """What its trials are: in a race one trains a finalist, which is a trial of its search."""
        return "training" if "finalist" in self.study.searched else "trial"

    @property
    def trained_here(self) -> int:
        """Number of epochs of this session."""
        return self.trained - self._trained_before

    @property
    def running(self) -> list[TrialRecord]:
        """The trials that run now, by number."""
        return [self.going[n] for n in sorted(self.going) if self.going[n].state == "RUNNING"]

    def counts_in_words(self) -> list[str]:
        """Return how many trials have ended, and what is used of effort and time."""
        total = "" if self.total is None else f" of {self.total}"
        plural = "s" * (self.total is not None or len(self._ended) != 1)
        words = [f"{len(self._ended)}{total} {self.unit}{plural} ended"]
        if self.trainings is not None:
            words.append(self.trainings.in_words(self.trained))
        limit = f" of {duration(self.budget.budget)}" if self.budget.limited else ""
        return [*words, f"{duration(self.budget.seconds)}{limit} spent"]

    def best_in_short(self) -> str:
        """Return the best candidate so far, for a line that has more to say."""
        best = self.best
        if best is None:
            return "no best yet"
        return f"best {best.final_robust:.3f} ({self.unit} {best.number})"

    def best_in_words(self) -> str:
        """Return the best candidate so far, and how it differs from the default."""
        best, default = self.best, self._default
        if best is None:
            return "no best yet"
        if "finalist" in best.params:  # of a race, whose answer lies in no training alone
            seed = f"finalist {best.params['finalist']}, seed {best.params['seed']}"
            return f"best training {best.final_robust:.3f} ({seed})"
        words = f"best {best.final_robust:.3f} (trial {best.number})"
        if best.is_default:
            return f"{words}, {best.default_in_words}"
        apart = None if default is None else difference(best, default)
        if apart is None:
            return words
        low, high = apart.interval
        gain = f"{apart.value:+.3f} over the default ({low:+.3f} to {high:+.3f})"
        return f"{words}, {gain}{', perhaps by chance' * (low <= 0 <= high)}"

    def left_in_words(self) -> str:
        """Return 'about 3:40 left', or what is known instead."""
        left = self.seconds_left()
        if left is not None:
            return f"about {duration(left)} left"
        words, budget = "time left known after an epoch", self.budget
        if not budget.limited:
            return words
        return f"{words}, at most {duration(_positive(budget.budget - budget.seconds))}"

    def seconds_left(self) -> float | None:
        """Return how long the study still takes, the shortest of what limits it; None if unknown.

        Until a trial has ended here, and as many epochs are trained as one has, epochs are what is
        known, and a trial stopped early is not foreseen; then the pace of all that was done here
        counts, pauses among it.
        """
        paced = self._ended_here and self.trained_here >= self._full
        guesses = list(self._by_pace() if paced else self._by_epochs())
        if not guesses:
            return None
        return _positive(min(*guesses, self.budget.budget - self.budget.seconds))

    def _by_pace(self) -> Iterator[float]:
        passed, here = self._clock() - self._begun, self.trained_here
        if self.total is not None:
            states = [trial.state for trial in self.going.values()]
            to_begin = max(0, self.total - len(self._ended) - len(states))
            missing = to_begin + states.count("WAITING") + states.count("RUNNING") / 2
            yield passed / self._ended_here * missing
        if self.trainings is not None and here:
            yield passed / here * (self.trainings.most - self.trained)
        if self.total is None and self.trainings is None and self.budget.limited:
            yield inf

    def _by_epochs(self) -> Iterator[float]:
        whole = self._needed(self._full) if self._full else 0.0
        if not whole:
            return
        each = whole / self._full / max(1, self.at_once)
        begun = [trial for trial in self.going.values() if trial.begun]
        if self.trainings is not None:
            yield each * (self.trainings.most - self.trained)
        if self.total is not None:
            open_ = sum(trial.total_epochs - trial.last_epoch for trial in begun)
            to_begin = max(0, self.total - len(self._ended) - len(begun))
            yield each * (open_ + to_begin * self._full)
        if self.total is None and self.trainings is None and self.budget.limited:
            yield inf

    def trial_left(self, trial: TrialRecord) -> float | None:
        """Return how long a trial takes if it runs to its end, s; None while that isn't known."""
        needed = self._needed(trial.total_epochs - trial.last_epoch)
        if not needed:
            return None
        return _positive(needed - (self._clock() - self._since.get(trial.number, self._clock())))

    def _needed(self, epochs: int) -> float:
        """Return the seconds that a trial will need for its last so many epochs; 0 if unknown."""
        expected = None if self._complete else self._expected
        return self.budget.needed(epochs) if expected is None else expected.needed(epochs)

    def too_short(self) -> str:
        """Return why the budget can't complete one trial; '' where it can, or nothing is known."""
        budget, here = self.budget, self.trained_here
        begun = [trial for trial in self.going.values() if trial.begun]
        if not budget.limited or self._complete or not begun or not here:
            return ""
        left = min(self._needed(trial.total_epochs - trial.last_epoch) for trial in begun)
        most = budget.budget * (1 + OVERRUN) * (_CERTAIN if here == 1 else 1)
        if budget.seconds + left <= most:
            return ""
        whole = duration(self._needed(self._full))
        return (
            f"a budget of {duration(budget.budget)} can't complete a trial (about {whole}); raise "
            "--budget, or lower epochs by --set"
        )


def _positive(seconds: float) -> float:
    return max(0.0, seconds)
