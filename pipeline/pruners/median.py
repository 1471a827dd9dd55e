"""Prune what is worse than the median of earlier trials at the same epoch."""

import math
import statistics
from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.study.contracts import Stop


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
        complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        values = [t.intermediate_values[epoch] for t in complete if epoch in t.intermediate_values]
        if len(values) < self.enough:
            return None
        best, middle = max(trial.intermediate_values.values()), statistics.median(values)
        if best >= middle:
            return None
        count = len(values)
        return Stop(f"best {best:.3f} by epoch {epoch} is below the median {middle:.3f} of {count}")


def median(epochs: int) -> Median:
    """Guard the first fifth of the epochs (rounded up)."""
    return Median(first=max(1, math.ceil(epochs / 5)))
