"""Stop a collapsed trial in its epoch, whatever another pruner says."""

from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.pruners import Pruner, Stop
from pipeline.pruners.none import none


@dataclass(frozen=True)
class Collapse:
    """Catastrophic overfitting is for good: see `catastrophic_overfitting.py` for rule and counts.

    inner: is asked where nothing collapsed.
    """

    inner: Pruner

    def stop(self, study: Study, trial: FrozenTrial) -> Stop | None:
        """Return both accuracies of a collapsed epoch, else what the inner pruner says."""
        epoch = trial.user_attrs[f"epoch_{trial.last_step}"]
        if not epoch["co_detected"]:
            return self.inner.stop(study, trial)
        pgd, fall = epoch["raw_pgd"], epoch["co_drop"]
        fell = f", which fell from {pgd + fall:.3f}" if fall > 0 else ""
        return Stop(
            f"collapsed in epoch {trial.last_step}: {epoch['raw_fgsm']:.3f} under FGSM, {pgd:.3f} "
            f"under PGD{fell}",
            certain=True,
        )


def collapse(epochs: int, inner: Pruner | None = None) -> Collapse:
    """Go round another pruner, or round none."""
    return Collapse(inner or none(epochs))
