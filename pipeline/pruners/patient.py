"""Let another pruner stop only trials that have ceased to improve."""

import math
from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.pruners.median import median
from pipeline.study.contracts import Pruner, Stop


@dataclass(frozen=True)
class Patient:
    """A trial that rises slowly is not given up while it rises.

    inner: pruner of those that have not improved.
    patience: number of epochs without a new best before the inner pruner is followed.
    """

    inner: Pruner
    patience: int

    def stop(self, study: Study, trial: FrozenTrial) -> Stop | None:
        """Return the inner pruner's reason, once the trial's best lies far enough back."""
        stop = self.inner.stop(study, trial)
        if stop is None or stop.certain:
            return stop
        values = trial.intermediate_values
        best = max(sorted(values), key=lambda epoch: values[epoch])
        waited = (trial.last_step or 0) - best
        if waited < self.patience:
            return None
        return Stop(f"{stop.reason}, and no new best for {waited} epochs")


def patient(epochs: int, inner: Pruner | None = None) -> Patient:
    """Wait a tenth of the epochs (rounded up); round the median rule unless told otherwise.

    A rule that speaks at few epochs, such as halving, is only heard when it speaks.
    """
    return Patient(inner or median(epochs), max(1, math.ceil(epochs / 10)))
