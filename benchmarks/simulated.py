"""A search on known learning curves under a simulated clock: no training, no waiting.

A worker's epoch takes one unit of time, whatever its configuration: in this project's own
searches the parameters hardly change what an epoch costs, and a clock that rewards cheap
configurations would measure something else.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.problem.space import SearchSpace
from regmix.ranges import Value


class Task(Protocol):
    """Something to be tuned, whose every answer is known."""

    @property
    def space(self) -> SearchSpace:
        """Return what is searched."""

    @property
    def epochs(self) -> int:
        """Return the length of a full training."""

    @property
    def eval_every(self) -> int:
        """Return the number of epochs from one validation to the next."""

    @property
    def trainings(self) -> int:
        """Return the budget of a search, in full trainings."""

    def trained(self, params: Mapping[str, Value]) -> "Trained":
        """Return a training of a configuration that is about to begin."""


class Method(Protocol):
    """A way of searching; it knows nothing but what is reported to it."""

    def ask(self) -> tuple[int, Mapping[str, Value]] | None:
        """Return a new trial's number and parameters, or None where there is none now."""

    def report(self, number: int, epoch: int, look: "Look") -> bool:
        """Take an epoch and tell whether the trial goes on; if not, it has ended."""


@dataclass(frozen=True)
class Look:
    """What is seen after an epoch, in [0, 1].

    value: by which trials are compared; None where the epoch is not validated.
    final: objective at the end of a full training; None before.
    """

    value: float | None
    final: float | None = None


@dataclass
class Trained:
    """A training so far.

    curve: value in [0, 1] after each epoch as it is judged, more is better; None where an epoch is
        not validated.
    final: objective of the whole training, as it is judged.
    worth: true value of the whole training.
    epoch: number of epochs so far.
    """

    curve: Sequence[float | None]
    final: float
    worth: float
    epoch: int = 0

    @property
    def look(self) -> Look:
        """What is seen after the last epoch."""
        return Look(self.curve[self.epoch - 1], self.final if self.complete else None)

    @property
    def last(self) -> float:
        """The value that was reported last; below all others before there is one."""
        if self.complete:
            return self.final
        known = [value for value in self.curve[: self.epoch] if value is not None]
        return known[-1] if known else float("-inf")

    @property
    def complete(self) -> bool:
        """Whether it was trained to its end."""
        return self.epoch == len(self.curve)


@dataclass(frozen=True)
class Outcome:
    """What a user would have picked at each moment: its value after a full training.

    last: of the trial with the highest last report, as Ray's `get_best_result` picks.
    complete: of the best complete trial, where there is one; else as `last`.
    """

    last: list[float]
    complete: list[float]
    trials: int
    finished: int  # of them, trained to the end


def simulate(method: Method, task: Task, workers: int, shares: Sequence[float]) -> Outcome:
    """Let workers train what the method asks for; the earliest finished epoch comes next.

    Args:
        method: to be measured; it is used up.
        task: that it searches.
        workers: trials at once; of epochs that end at the same time the first worker's comes first.
        shares: of the task's budget, ascending, in (0, 1], at which is looked.
    """
    trials: dict[int, Trained] = {}
    events: list[tuple[int, int, int]] = []  # time, worker, trial
    idle, outcome = list(range(workers)), Outcome([], [], 0, 0)
    budget = task.trainings * task.epochs
    moments = [share * budget / workers for share in shares]
    now = 0
    while True:
        while idle and (asked := method.ask()) is not None:
            number, params = asked
            trials[number] = task.trained(params)
            heapq.heappush(events, (now + 1, idle.pop(0), number))
        upcoming = events[0][0] if events else float("inf")
        while len(outcome.last) < len(moments) and upcoming > moments[len(outcome.last)]:
            _look(trials, outcome)
        if len(outcome.last) == len(moments):
            finished = sum(trial.complete for trial in trials.values())
            return Outcome(outcome.last, outcome.complete, len(trials), finished)
        now, worker, number = heapq.heappop(events)
        trial = trials[number]
        trial.epoch += 1
        if method.report(number, trial.epoch, trial.look):
            heapq.heappush(events, (now + 1, worker, number))
        else:
            idle.append(worker)


def _look(trials: Mapping[int, Trained], outcome: Outcome) -> None:
    reported = [trial for trial in trials.values() if trial.epoch]
    complete = [trial for trial in reported if trial.complete] or reported
    outcome.last.append(max(reported, key=lambda trial: trial.last).worth)
    outcome.complete.append(max(complete, key=lambda trial: trial.last).worth)
