"""What a report is made of: one study, and the few things beside it that it shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from pipeline.study.records import StudyRecord, TrialRecord
from pipeline.views.importances import Importance, importances, told
from pipeline.views.summary import Summary, TrialSummary, summarize

STATES = {"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed", "RUNNING": "running"}
STATES |= {"WAITING": "waiting"}
"""States as people call them."""

TAKE = "Take the best of the search, as files with their weights"
"""What the command does that exports the best."""
TAKE_ANSWER = "Take the race's answer, a file that lies there with its weights, also in other forms"
"""What the command does that takes the winner of the race further."""


@dataclass(frozen=True)
class Range:
    """A searched parameter's own scale.

    low, high: of a number; places of the first and the last value of a choice.
    choices: values of a choice as text; () for a number.
    """

    low: float
    high: float
    log: bool
    choices: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: BaseDistribution) -> "Range":
        """Return that of a distribution of Optuna's."""
        if isinstance(found, FloatDistribution | IntDistribution):
            return cls(float(found.low), float(found.high), bool(found.log))
        assert isinstance(found, CategoricalDistribution), "a space has no others"
        names = tuple(map(str, found.choices))
        return cls(0.0, len(names) - 1.0, False, names)

    def place(self, value: object) -> float:
        """Return where a value lies between `low` and `high`."""
        if self.choices:
            return float(self.choices.index(str(value)))
        assert isinstance(value, int | float), "a number"
        return float(value)


@dataclass(frozen=True)
class Material:
    """A study as its report shows it.

    study: the study itself, for what changes with epochs and with time.
    race: the study of its race, where there is one.
    running: whether a driver runs it now.
    judged: file of an exported configuration -> its evaluation on test data.
    commands: what a command does -> the command.
    """

    study: StudyRecord
    race: StudyRecord | None = None
    running: bool = False
    judged: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    commands: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def summary(self) -> Summary:
        """What it says, as every view shows it."""
        return summarize(self.study, self.race, running=self.running)

    @cached_property
    def trials(self) -> Mapping[int, TrialRecord]:
        """Trials that were begun, by number, as the study knows them."""
        return {trial.number: trial for trial in self.study.trials() if trial.begun}

    @cached_property
    def importances(self) -> Mapping[str, Importance]:
        """Parameter -> how much it matters, the most first."""
        return importances(self.study)

    @cached_property
    def told(self) -> int:
        """Number of trials that the importances are taken from."""
        return told(self.study)

    @cached_property
    def ranges(self) -> Mapping[str, Range]:
        """Searched parameter -> its scale, in the order of the space; {} before the first trial."""
        known = next((one.frozen.distributions for one in self.trials.values()), {})
        return {name: Range.of(known[name]) for name in self.summary.searched if name in known}

    @cached_property
    def ordered(self) -> Sequence[str]:
        """Searched parameters, those that matter most first."""
        return sorted(self.ranges, key=lambda name: -self._value(name))

    def _value(self, name: str) -> float:
        return self.importances[name].value if name in self.importances else 0.0

    @cached_property
    def complete(self) -> Sequence[TrialSummary]:
        """Complete trials, the best first; those that are no candidates last."""
        return [one for one in self.summary.trials if one.final_robust is not None]

    @cached_property
    def chosen(self) -> TrialSummary | None:
        """The winner of the race, where there is one, else the best of the search."""
        race = self.summary.race
        if race is None:
            return self.summary.best
        return next((t for t in self.complete if t.trial == race.winner.trial), self.summary.best)

    def kind(self, trial: TrialSummary) -> str:
        """Return the class by which a trial's mark is coloured."""
        best, default = self.chosen, self.summary.default
        if best is not None and trial.trial == best.trial:
            return "best"
        if default is not None and trial.trial == default.trial:
            return "default"
        return "candidate" if trial.rank is not None else "other"

    def named(self, trial: TrialSummary) -> str:
        """Return 'trial 7: robust 0.412, clean 0.880; alpha 1.2, beta 0.3'."""
        value = trial.final_robust if trial.final_robust is not None else trial.robust
        found = [f"robust {value:.3f}"] if value is not None else []
        found += [f"clean {trial.clean:.3f}"] if trial.clean is not None else []
        return f"trial {trial.trial}: {', '.join(found)}; {settings(trial)}"


def settings(trial: TrialSummary) -> str:
    """Return 'alpha 1.65, beta 0.173'."""
    return ", ".join(f"{name} {short(value)}" for name, value in trial.params.items())


def short(value: object) -> str:
    """Return a number in three significant digits, anything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def between(low: float, high: float, sign: str = "") -> str:
    """Return '0.40 to 0.45' in three digits; `sign` is '+' for differences."""
    return f"{low:{sign}.3f} to {high:{sign}.3f}"
