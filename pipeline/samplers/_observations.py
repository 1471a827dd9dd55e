"""What TPE learns from, as columns of numbers that follow the study, and their division.

Optuna's TPE reads every trial anew for each parameter that it draws. The same numbers are kept
here: a trial that changes is written into its row, and a draw works on whole columns.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from pipeline.study import optuna_private

ENOUGH = 8
"""Number of trials that must have reached an epoch before all are ranked by their values there."""

MOST = 250
"""Number of trials that are not among the best which the model of the others keeps, the latest.

TPE gives the earliest of them the least weight, down to none; with all of ten thousand a draw would
take longer than an epoch of a small network. Below so many trials nothing is left out.
"""

_BEST, _SHARE = 25, 0.1  # the best tenth, at most so many: Optuna's default
_NONE, _COMPLETE, _PRUNED, _RUNNING = range(4)
_SHOWN = {
    TrialState.COMPLETE: _COMPLETE,
    TrialState.PRUNED: _PRUNED,
    TrialState.RUNNING: _RUNNING,
}
Numbers = NDArray[np.int64]


@dataclass
class Observations:
    """A view of all trials: a row for each, by its number.

    at_common_epoch: whether every trial that reached a certain epoch counts as complete, with its
        value there, and no other one. The epoch is the highest that enough trials have reached,
        running ones too: then like is ranked with like (Falkner et al., ICML 2018, BOHB, for TPE).
        Optuna's own TPE ranks a trial that was stopped later above all that were stopped before,
        whatever their values.
    together: whether the parameters of a trial are drawn together, and those drawn for a running
        one count before they are all stored.
    """

    at_common_epoch: bool
    together: bool
    space: dict[str, BaseDistribution] | None = None  # what all ended trials have in common
    _trials: list[FrozenTrial] = field(default_factory=list)
    _reached: dict[int, int] = field(default_factory=dict)  # epoch -> number of trials
    epoch: int | None = None  # at which trials are ranked, if at a common one
    _state: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    _ranks: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    _violation: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    _columns: dict[str, tuple[BaseDistribution, NDArray[np.float64]]] = field(default_factory=dict)
    _division: tuple[int, Numbers, Numbers] | None = None  # the last one, while it holds

    def put(self, trial: FrozenTrial) -> None:
        """Take a trial into its row."""
        number = trial.number
        if number == len(self._trials):
            self._trials.append(trial)
            self._grow()
            new = set(trial.intermediate_values)
        else:
            known, self._trials[number] = self._trials[number], trial
            if optuna_private.tells_the_same(known, trial):
                return
            new = trial.intermediate_values.keys() - known.intermediate_values.keys()
        for epoch in new:
            self._reached[epoch] = self._reached.get(epoch, 0) + 1
        if self.at_common_epoch and new and self._find_common():
            for one in self._trials:
                self._rank(one)
        self._rank(trial)
        for name, (distribution, column) in self._columns.items():
            column[number] = self._parameter(trial, name, distribution)
        if trial.state in (TrialState.COMPLETE, TrialState.PRUNED):
            self._meet(trial.distributions)

    def _grow(self) -> None:
        count, room = len(self._trials), len(self._state)
        if count <= room:
            return
        more = max(64, room)
        self._state = np.concatenate([self._state, np.zeros(more, np.int8)])
        self._ranks = np.concatenate([self._ranks, np.zeros((more, 2))])
        self._violation = np.concatenate([self._violation, np.zeros(more)])
        self._columns = {
            name: (distribution, np.concatenate([column, np.full(more, np.nan)]))
            for name, (distribution, column) in self._columns.items()
        }

    def _find_common(self) -> bool:
        """Find the epoch at which trials are ranked; tell whether it is another one than before."""
        before = self.epoch
        enough = (epoch for epoch, count in self._reached.items() if count >= ENOUGH)
        self.epoch = max(enough, default=None)
        return self.epoch != before

    def _rank(self, trial: FrozenTrial) -> None:
        """Write as what a trial counts, and by what it is ranked: the least is the best."""
        number, epochs = trial.number, trial.intermediate_values
        before = self._row(number)
        state = _SHOWN.get(trial.state, _NONE)
        value = trial.value if state == _COMPLETE else None
        if self.epoch is not None:
            value = None if trial.state == TrialState.FAIL else epochs.get(self.epoch)
            state = _COMPLETE if value is not None else _PRUNED if state == _COMPLETE else state
        self._state[number] = state
        self._violation[number] = sum(by for by in trial.constraints.values() if by > 0)
        if state == _COMPLETE:
            assert value is not None, "a complete trial has a value"
            self._ranks[number] = 0, -value
        elif state == _PRUNED:
            last, at_last = max(epochs.items(), default=(-1, 0.0))
            self._ranks[number] = -last, np.inf if np.isnan(at_last) else -at_last
        if self._row(number) != before:
            self._division = None

    def _row(self, number: int) -> tuple[float, ...]:
        return self._state[number], self._violation[number], *self._ranks[number]

    def _meet(self, distributions: dict[str, BaseDistribution]) -> None:
        if self.space is None:
            self.space = dict(distributions)
        elif self.space != distributions:
            self.space = {n: d for n, d in self.space.items() if distributions.get(n) == d}

    def _parameter(self, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> float:
        """Return a parameter as Optuna computes with it, NaN where a trial has none."""
        params = trial.params
        if self.together and not trial.state.is_finished():
            params = {**optuna_private.relative_params(trial, ("tpe",)), **params}
        return distribution.to_internal_repr(params[name]) if name in params else np.nan

    def column(self, name: str, distribution: BaseDistribution) -> NDArray[np.float64]:
        """Return a parameter of all trials, kept current from the first call on."""
        known = self._columns.get(name)
        if known is None or known[0] != distribution:
            column = np.full(len(self._state), np.nan)
            for trial in self._trials:
                column[trial.number] = self._parameter(trial, name, distribution)
            known = self._columns[name] = distribution, column
        return known[1]

    @property
    def finished(self) -> int:
        """Number of trials that count as complete or pruned."""
        return int(np.count_nonzero((self._state == _COMPLETE) | (self._state == _PRUNED)))

    def divided(self, number: int) -> tuple[Numbers, Numbers]:
        """Return the numbers of the best trials and of the others, each ascending.

        Args:
            number: the trial that is drawn for, which is none of them.
        """
        if self._division is not None and self._division[0] == number:
            return self._division[1:]
        state = self._state.copy()
        state[number] = _NONE
        ended = (state == _COMPLETE) | (state == _PRUNED)
        violating = ended & (self._violation > 0)
        count = min(int(np.ceil(_SHARE * np.count_nonzero(ended))), _BEST)
        best: list[Numbers] = []
        for kind in (state == _COMPLETE, state == _PRUNED):
            found = np.flatnonzero(kind & ~violating)
            order = np.lexsort((self._ranks[found, 1], self._ranks[found, 0]))
            best.append(found[order[:count]])
            count -= len(best[-1])
        found = np.flatnonzero(violating)
        best.append(found[np.argsort(self._violation[found], kind="stable")[:count]])
        below = np.sort(np.concatenate(best))
        state[below] = _NONE
        self._division = number, below, np.flatnonzero(state != _NONE)[-MOST:]
        return self._division[1:]
