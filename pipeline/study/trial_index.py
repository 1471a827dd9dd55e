"""A study's trials by number and by state, and views of them that are kept current.

Nothing here is stored: an index is derived from the study as it is opened, and follows each change
of a trial. So an event looks at the trials that it is about, however many the study has.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

from optuna.trial import FrozenTrial, TrialState


class View(Protocol):
    """Something that is derived from all trials, one by one."""

    def put(self, trial: FrozenTrial) -> None:
        """Take a trial that is new or has changed, in place of what was known of its number."""


_V = TypeVar("_V", bound=View)


@dataclass
class TrialIndex:
    """All trials of a study. Its trials are never changed in place: a change brings a new object.

    trials: the trials by number.
    """

    trials: list[FrozenTrial] = field(default_factory=list)
    _by_state: dict[TrialState, set[int]] = field(default_factory=dict)
    _views: dict[Hashable, View] = field(default_factory=dict)

    @classmethod
    def of(cls, trials: Iterable[FrozenTrial]) -> "TrialIndex":
        """Return the index of these trials, which come by number."""
        index = cls()
        for trial in trials:
            index.put(trial)
        return index

    def put(self, trial: FrozenTrial) -> None:
        """Take a trial that is new or has changed."""
        number = trial.number
        if number < len(self.trials):
            known = self.trials[number]
            if known.state != trial.state:
                self._by_state[known.state].discard(number)
            self.trials[number] = trial
        else:
            assert number == len(self.trials), "trials come by number"
            self.trials.append(trial)
        self._by_state.setdefault(trial.state, set()).add(number)
        for view in self._views.values():
            view.put(trial)

    def view(self, key: Hashable, empty: _V) -> _V:
        """Return the view that is kept under a key; for a new one that is `empty`, once filled."""
        found = self._views.get(key)
        if found is None:
            for trial in self.trials:
                empty.put(trial)
            found = self._views[key] = empty
        return cast(_V, found)

    def __len__(self) -> int:
        return len(self.trials)

    def numbers(self, *states: TrialState) -> list[int]:
        """Return the numbers of the trials in these states, ascending."""
        return sorted(number for state in states for number in self._by_state.get(state, ()))

    def count(self, *states: TrialState) -> int:
        """Return how many trials are in these states."""
        return sum(len(self._by_state.get(state, ())) for state in states)

    @property
    def unfinished(self) -> list[int]:
        """Numbers of the trials that may still change, ascending."""
        return self.numbers(TrialState.WAITING, TrialState.RUNNING)
