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

    def curve(self, params: Mapping[str, Value]) -> Sequence[float]:
        """Return the value in [0, 1] after each epoch as it is judged; more is better."""

    def worth(self, params: Mapping[str, Value]) -> float:
        """Return the true value in [0, 1] after the last epoch."""


class Method(Protocol):
    """A way of searching; it knows nothing but what is reported to it."""

    def ask(self) -> tuple[int, Mapping[str, Value]] | None:
        """Return a new trial's number and parameters, or None where there is none now."""

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Take a value and tell whether the trial goes on; if not, it has ended."""


@dataclass
class Trained:
    """A trial so far."""

    curve: Sequence[float]
    worth: float
    epoch: int = 0

    @property
    def last(self) -> float:
        """The value that was reported last."""
        return self.curve[self.epoch - 1]

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


def simulate(
    method: Method, task: Task, workers: int, budget: int, shares: Sequence[float]
) -> Outcome:
    """Let workers train what the method asks for; the earliest finished epoch comes next.

    Args:
        method: to be measured; it is used up.
        task: that it searches.
        workers: trials at once; of epochs that end at the same time the first worker's comes first.
        budget: epochs that all workers train together.
        shares: of the budget, ascending, in (0, 1], at which is looked.
    """
    trials: dict[int, Trained] = {}
    events: list[tuple[int, int, int]] = []  # time, worker, trial
    idle, outcome = list(range(workers)), Outcome([], [], 0, 0)
    moments = [share * budget / workers for share in shares]
    now = 0
    while True:
        while idle and (asked := method.ask()) is not None:
            number, params = asked
            trials[number] = Trained(task.curve(params), task.worth(params))
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
        if method.report(number, trial.epoch, trial.last):
            heapq.heappush(events, (now + 1, worker, number))
        else:
            idle.append(worker)


def _look(trials: Mapping[int, Trained], outcome: Outcome) -> None:
    reported = [trial for trial in trials.values() if trial.epoch]
    complete = [trial for trial in reported if trial.complete] or reported
    outcome.last.append(max(reported, key=lambda trial: trial.last).worth)
    outcome.complete.append(max(complete, key=lambda trial: trial.last).worth)
