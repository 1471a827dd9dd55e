"""Watches a run for catastrophic overfitting, and keeps the best weights from before it."""

from typing import Any

from torch import Tensor, nn

from regmix.evaluation.validator import SingleStep
from regmix.training.catastrophic_overfitting import co_detected, co_ratio


class OverfittingMonitor:
    """The last epoch, the best one, and the first that showed catastrophic overfitting."""

    def __init__(self, epochs: int) -> None:
        """Begin a run of so many epochs."""
        self._epochs = epochs
        self._single, self._drop, self._detected = SingleStep(0.0, 0.0), 0.0, False
        self._best_single = 0.0  # the highest accuracy under PGD of the present weights
        self.co_epoch = 0  # the first with catastrophic overfitting; 0 while there is none
        self.best_epoch, self.best_robust = 0, 0.0
        self.best_weights: dict[str, Tensor] | None = None

    def update(
        self, epoch: int, single: SingleStep, robust: float | None, average: nn.Module
    ) -> None:
        """Take in an epoch.

        A run that was once overfitted keeps the weights from before for good: of such runs in
        the public logs none came back to a competitive end.

        Args:
            epoch: number of the epoch, from 1.
            single: accuracies of the present weights.
            robust: validation robust accuracy of the averaged weights, in [0, 1]; None where
                the epoch has no validation, and therefore can't be the best.
            average: averaged model; its weights are copied where they are the best.
        """
        self._drop = self._single.pgd - single.pgd
        self._single = single
        self._detected = co_detected(
            epoch, self._epochs, single.fgsm, single.pgd, best=self._best_single
        )
        self._best_single = max(self._best_single, single.pgd)
        if self._detected and not self.co_epoch:
            self.co_epoch = epoch
        if robust is None or self.co_epoch:
            return
        if robust > self.best_robust or not self.best_epoch:
            self.best_epoch, self.best_robust = epoch, robust
            self.best_weights = _copied(average)

    def earlier_best(self, epoch: int) -> dict[str, Tensor] | None:
        """Return the best weights where they are of an earlier epoch than this last one."""
        return self.best_weights if self.best_epoch < epoch else None

    def metrics(self) -> dict[str, Any]:
        """Return the fields of `EpochMetrics` about overfitting and the best epoch."""
        return {
            "raw_fgsm": self._single.fgsm,
            "raw_pgd": self._single.pgd,
            "co_ratio": co_ratio(self._single.fgsm, self._single.pgd),
            "co_drop": self._drop,
            "co_detected": self._detected,
            "best_epoch": self.best_epoch,
            "best_robust": self.best_robust,
        }

    def state_dict(self, epoch: int) -> dict[str, Any]:
        """Return all that a run needs that is resumed after this epoch.

        The best weights are left out where they are those of this epoch: the average has them.
        """
        return {
            "single": (self._single.fgsm, self._single.pgd),
            "best_single": self._best_single,
            "co_epoch": self.co_epoch,
            "best_epoch": self.best_epoch,
            "best_robust": self.best_robust,
            "best_weights": self.earlier_best(epoch),
        }

    def load_state_dict(self, state: dict[str, Any], average: nn.Module) -> None:
        """Take over what `state_dict` returned, with the averaged model of the same epoch."""
        self._single = SingleStep(*state["single"])
        self._best_single = state["best_single"]
        self.co_epoch = state["co_epoch"]
        self.best_epoch, self.best_robust = state["best_epoch"], state["best_robust"]
        self.best_weights = state["best_weights"]
        if self.best_epoch and self.best_weights is None:
            self.best_weights = _copied(average)


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}
