"""Several halvings side by side, each with another first rung."""

from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.pruners.halving import Bracket, Halving, halving
from pipeline.study.contracts import Stop

KEEP = 1 / 3
"""Share of a bracket's trials that goes on at a rung: the later brackets are the hedge."""


@dataclass(frozen=True)
class Hyperband:
    """A hedge where it is not known how early an epoch tells the end (Li et al., JMLR 2018).

    Trials are dealt to brackets by their number, the same way after a kill, and are compared
    within their bracket alone. Each bracket gets as many trials as the others get epochs: one
    that prunes early tries more.

    rungs: rungs of each bracket; the last bracket has none and prunes nothing.
    pattern: bracket of each trial of a cycle.
    """

    rungs: tuple[tuple[int, ...], ...]
    pattern: tuple[int, ...]

    def bracket(self, number: int) -> int:
        """Return the bracket of a trial."""
        return self.pattern[number % len(self.pattern)]

    def stop(self, study: Study, trial: FrozenTrial) -> Stop | None:
        """Return the trial's rank in its bracket where it is too low, else None."""
        bracket = self.bracket(trial.number)
        rule = Halving(self.rungs[bracket], KEEP, Bracket(self.pattern, bracket))
        stop = rule.stop(study, trial)
        return None if stop is None else Stop(f"{stop.reason} (bracket {bracket + 1})")


def hyperband(epochs: int, eval_every: int = 1) -> Hyperband:
    """Begin with the rungs of `halving`, and drop the first rung from bracket to bracket.

    Of seven trials four go to the first bracket, two to the second, one to the third: about
    equal numbers of epochs, where a third goes on at each rung.
    """
    rungs = halving(epochs, eval_every).rungs
    brackets = tuple(rungs[skip:] for skip in range(min(3, len(rungs) + 1)))
    pattern = {1: (0,), 2: (0, 1, 0), 3: (0, 1, 0, 2, 0, 1, 0)}[len(brackets)]
    return Hyperband(brackets, pattern)
