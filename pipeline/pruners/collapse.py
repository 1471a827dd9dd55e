"""Stop a trial in the epoch of its catastrophic overfitting, whatever another pruner says."""

from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.pruners.none import none
from pipeline.study.contracts import Pruner, Stop
from pipeline.study.records import TrialRecord


@dataclass(frozen=True)
class Collapse:
    """Catastrophic overfitting is for good: see `catastrophic_overfitting.py` for rule and counts.

    inner: pruner for every other epoch.
    """

    inner: Pruner

    def stop(self, study: Study, trial: FrozenTrial) -> Stop | None:
        """Return both accuracies of an overfitted epoch, else what the inner pruner says."""
        latest = TrialRecord(trial).latest
        if not latest.co_detected:
            return self.inner.stop(study, trial)
        pgd, drop = latest.raw_pgd, latest.co_drop
        fell = f", which fell from {pgd + drop:.3f}" if drop > 0 else ""
        return Stop(
            f"catastrophic overfitting in epoch {latest.epoch}: {latest.raw_fgsm:.3f} under FGSM, "
            f"{pgd:.3f} under PGD{fell}",
            certain=True,
        )


def collapse(epochs: int, inner: Pruner | None = None) -> Collapse:
    """Go round another pruner, or round none."""
    return Collapse(inner or none(epochs))
