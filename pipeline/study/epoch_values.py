"""The values that trials had at one epoch, in order: a rank and a median without a scan."""

import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.study.followed_storage import index_of


@dataclass
class EpochValues:
    """A view of the trials that reached an epoch.

    epoch: the epoch.
    state: the state that they are in; None for any.
    counts: tells of a trial's number whether it is one of them; None for all.
    """

    epoch: int
    state: TrialState | None = None
    counts: Callable[[int], bool] | None = None
    _values: dict[int, float] = field(default_factory=dict)  # number of a trial -> value
    _ordered: list[float] = field(default_factory=list)  # those that are not NaN, ascending

    def put(self, trial: FrozenTrial) -> None:
        """Take a trial's value."""
        value = trial.intermediate_values.get(self.epoch)
        if self.state is not None and trial.state != self.state:
            value = None
        if self.counts is not None and not self.counts(trial.number):
            value = None
        known = self._values.get(trial.number)
        if value == known:
            return
        if known is not None:
            del self._values[trial.number]
            if not math.isnan(known):
                del self._ordered[bisect_left(self._ordered, known)]
        if value is not None:
            self._values[trial.number] = value
            if not math.isnan(value):
                insort(self._ordered, value)

    @property
    def ordered(self) -> Sequence[float]:
        """The values, ascending."""
        return self._ordered

    def rank(self, number: int, value: float) -> tuple[int, int]:
        """Return the rank of a trial by a value, 1 for the best, and among how many with it.

        Args:
            number: the trial; a value that is known of it does not count.
            value: its value.
        """
        own = self._values.get(number)
        better = 0 if math.isnan(value) else len(self._ordered) - bisect_right(self._ordered, value)
        better -= own is not None and own > value
        return 1 + better, len(self._values) - (own is not None) + 1


def values_at(
    study: Study,
    epoch: int,
    *,
    state: TrialState | None = None,
    group: tuple[object, ...] = (),
    counts: Callable[[int], bool] | None = None,
) -> EpochValues:
    """Return the values of a study's trials at an epoch, kept current from the first call on.

    Args:
        study: the study.
        epoch, state, counts: see `EpochValues`.
        group: what tells `counts` from other rules: it is asked for the first of each group alone.
    """
    key = ("epoch values", epoch, state, group)
    return index_of(study).view(key, EpochValues(epoch, state, counts))
