"""How much of a search's extent its race has, how many race, and when a round may begin.

By how many images they are judged, and how long that takes, is here too.
"""

from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import TrialState

from pipeline.study.budget import Pace, TimeBudget
from pipeline.study.effort import Trainings, effort_of
from pipeline.study.followed_storage import index_of
from pipeline.study.records import TrialRecord
from regmix.config import TrainConfig

SHARE = 0.25
"""Share of trainings or time that is kept for the race. The best of a search looks better than it
is by about as much as it gains; a quarter of the recipes' trainings shows four finalists with two
seeds each or more, and three quarters find nearly what all would."""
OTHERS = 3
"""Most finalists beside trial 0: the order of those behind them is mostly chance."""
SEEDS = 2
"""Seeds that each finalist shall have at least: with one nothing is known of their noise."""
FINALIST = 8
"""How many times longer it takes to judge a finalist than a trial by as many images; on digits 8.4
times."""
_LAST_FEW = 3
"""Finalists that are judged by all images; more of them first by some."""
_FIRST = 4
"""Number of images that judge these rounds, over that of a trial; at most there are all."""
LEAST = 6
"""Fewest trainings of a race where the number of trials alone limits the search."""


def divided(trainings: int) -> tuple[int, int]:
    """Return the trainings of the search and those of its race, 0 where they would be too few."""
    kept = round(SHARE * trainings)
    kept = kept if places(kept) else 0
    return trainings - kept, kept


def after(trained: float) -> int:
    """Return the trainings of a race where the number of trials alone limits the search.

    A third of what the search trained is a quarter of both.

    Args:
        trained: what the search trained, in full trainings.
    """
    return max(LEAST, round(SHARE / (1 - SHARE) * trained))


def places(trainings: int) -> int:
    """Return how many finalists so many trainings give two seeds each; 0 where not even two."""
    found = min(1 + OTHERS, trainings // SEEDS)
    return found if found >= 2 else 0


def judged_images(task: TrainConfig, racing: int) -> int:
    """Return the number of images that a round is judged by.

    Args:
        task: configuration of any finalist.
        racing: number of finalists in the round.
    """
    every = task.held_out_images
    return every if racing <= _LAST_FEW else min(_FIRST * task.valid_images, every)


def as_finalists(pace: Pace, task: TrainConfig, racing: int) -> Pace:
    """Return how long trainings take that are judged as finalists are.

    Args:
        pace: pace of the search's trials.
        task: configuration of any finalist.
        racing: number of finalists in a round.
    """
    longer = FINALIST * judged_images(task, racing) / task.valid_images
    each = pace.seconds / pace.epochs if pace.epochs else 0.0
    judged = max(0.0, pace.end_seconds - pace.ends * each)
    return Pace(pace.epochs, pace.seconds, pace.ends, pace.ends * each + longer * judged)


@dataclass(frozen=True)
class RoundLimit:
    """What a race may use. A round begins only where it can end, and then it does.

    epochs: epochs of one training.
    clock: time that the race takes, without a limit of its own.
    trainings: the effort that it may take; None for no limit.
    seconds: the time that it may take.
    at_once: number of trainings that run at once, by which a round's time is guessed.
    """

    epochs: int
    clock: TimeBudget
    trainings: Trainings | None = None
    seconds: float = float("inf")
    at_once: int = 1

    def fits(self, study: Study, count: int) -> bool:
        """Tell whether so many more trainings can end.

        Args:
            study: the race.
            count: number of trainings that nobody has enqueued.
        """
        index = index_of(study)
        waiting = (TrialRecord(index.trials[n]) for n in index.numbers(TrialState.WAITING))
        count += sum(not trial.begun for trial in waiting)
        taken = effort_of(study).taken(self.epochs) + count * self.epochs
        if self.trainings is not None and taken > self.trainings.most:
            return False
        in_a_row = -(-count // self.at_once)
        return self.clock.seconds + in_a_row * self.clock.needed(self.epochs) <= self.seconds
