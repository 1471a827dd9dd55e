"""Metrics of one epoch of training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regmix.evaluation.results import FinalEvaluation


@dataclass(frozen=True)
class EpochMetrics:
    """Shares lie in [0, 1]; `valid_*` are of the averaged weights on the validation images.

    They are None where the epoch has no validation: see `eval_every` of the configuration.
    """

    epoch: int  # from 1
    train_loss: float  # mean over the epoch's images
    train_initial: float  # share correct at the initial perturbations, in train mode
    train_final: float  # share correct at the final perturbations, in train mode
    valid_clean: float | None
    valid_fgsm: float | None
    valid_pgd: float | None  # PGD on cross-entropy alone
    valid_robust: float | None  # survives every attack of the ensemble
    raw_fgsm: float  # of the present weights, on some of the images: see `OverfittingMonitor`
    raw_pgd: float
    co_ratio: float  # raw_pgd / raw_fgsm
    co_drop: float  # of raw_pgd since the last epoch; negative where it rose
    co_detected: bool  # catastrophic overfitting in this epoch
    best_epoch: int  # with the highest valid_robust before any overfitting; 0 where there is none
    best_robust: float  # that value
    lr: float  # at the epoch's last step
    seconds: float  # of training and validation
    final: FinalEvaluation | None = None  # after the last epoch

    @property
    def validated(self) -> bool:
        """Whether the epoch has a validation."""
        return self.valid_robust is not None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "EpochMetrics":
        """Return what `dataclasses.asdict` was given.

        Raises:
            TypeError: for a missing or unknown name.
        """
        final = values.get("final")
        return cls(**{**values, "final": final and FinalEvaluation.from_dict(final)})
