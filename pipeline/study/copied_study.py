"""What a study has copied of an earlier one that it begins from, and goes on with alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from regmix.ranges import Value


@dataclass(frozen=True)
class CopiedTrial:
    """A trial of an earlier study.

    number: its number there.
    params: values of what is searched now, in the order of `CopiedStudy.names`.
    epochs, values: epochs that had a value, ascending, and those values.
    final: the objective; None for a trial that was not complete.
    worst: whether it violated a constraint.
    """

    number: int
    params: Sequence[Value]
    epochs: Sequence[int]
    values: Sequence[float]
    final: float | None
    worst: bool


@dataclass(frozen=True)
class CopiedStudy:
    """An earlier study, as far as it can be of use.

    study: its name.
    epochs: number of epochs of a full training there.
    names: names of the parameters.
    trials: trials whose values all lie in the present ranges.
    first: number and parameters there of those that this study begins with, the best first.
    """

    study: str
    epochs: int
    names: Sequence[str]
    trials: Sequence[CopiedTrial]
    first: Sequence[tuple[int, Sequence[Value]]]

    @property
    def text(self) -> str:
        """The same as text, which costs a reader of the study's other attributes nothing."""
        trials = [[*vars(trial).values()] for trial in self.trials]
        return json.dumps({**vars(self), "trials": trials}, separators=(",", ":"))

    @classmethod
    def of(cls, text: str) -> "CopiedStudy":
        """Return what a text holds."""
        found = json.loads(text)
        trials = [CopiedTrial(*trial) for trial in found.pop("trials")]
        return cls(**found, trials=trials)
