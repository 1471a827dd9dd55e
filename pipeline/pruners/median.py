"""Prune what is worse than the median of earlier trials at the same epoch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.study.contracts import Stop
from pipeline.study.epoch_values import values_at


@dataclass(frozen=True)
class Median:
    """Compare the best value so far with completed trials' values (Golovin et al., KDD 2017).

    first: epoch before which nothing is pruned.
    enough: number of complete trials that must have the epoch.
    """

    first: int
    enough: int = 5

    def stop(self, study: Study, trial: FrozenTrial) -> Stop | None:
        """Return both numbers where the trial's best is below the median, else None."""
        epoch = trial.last_step
        if epoch is None or epoch < self.first:
            return None
        values = values_at(study, epoch, state=TrialState.COMPLETE).ordered
        if len(values) < self.enough:
            return None
        best, middle = max(trial.intermediate_values.values()), middle_of(values)
        if best >= middle:
            return None
        count = len(values)
        return Stop(f"best {best:.3f} by epoch {epoch} is below the median {middle:.3f} of {count}")


def middle_of(ordered: Sequence[float]) -> float:
    """Return the median of values that are in order already, as `statistics.median` does."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def median(epochs: int) -> Median:
    """Guard the first fifth of the epochs (rounded up)."""
    return Median(first=max(1, math.ceil(epochs / 5)))
