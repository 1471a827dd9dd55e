"""Any of Optuna's own pruners, with the reason that they do not give."""

from dataclasses import dataclass

from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.study.contracts import Stop


@dataclass(frozen=True)
class OptunaPruner:
    """Asks a pruner that answers yes or no.

    name: name of the pruner, for the reason.
    inner: the pruner.
    """

    name: str
    inner: BasePruner

    def stop(self, study: Study, trial: FrozenTrial) -> Stop | None:
        """Return name, value and epoch where the pruner says yes, else None."""
        if not self.inner.prune(study, trial):
            return None
        epoch = trial.last_step
        assert epoch is not None, "an epoch was reported"
        value = trial.intermediate_values[epoch]
        return Stop(f"{self.name} stops it at epoch {epoch} with {value:.3f}")
