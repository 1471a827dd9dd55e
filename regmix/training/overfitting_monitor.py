"""Watches a run for collapse, and keeps the best weights from before it."""

from typing import Any

from torch import Tensor, nn

from regmix.evaluation.validator import SingleStep
from regmix.training.catastrophic_overfitting import collapsed, ratio


class OverfittingMonitor:
    """What the epochs so far were like: the last one, the best one, and whether one collapsed."""

    def __init__(self, epochs: int) -> None:
        """Begin a run of `epochs` epochs."""
        self._epochs = epochs
        self._single, self._fall, self._detected = SingleStep(0.0, 0.0), 0.0, False
        self._best_single = 0.0  # the highest accuracy under PGD of the present weights
        self.collapsed_in = 0  # the first epoch that collapsed; 0 while none has
        self.best_epoch, self.best_robust = 0, 0.0
        self.best_weights: dict[str, Tensor] | None = None

    def update(self, epoch: int, single: SingleStep, robust: float, average: nn.Module) -> None:
        """Take in an epoch.

        A run that has collapsed once keeps the weights from before for good: of the runs in
        the public logs none that collapsed came back to a competitive end.

        Args:
            epoch: from 1.
            single: accuracies of the present weights.
            robust: validation robust accuracy of the averaged weights.
            average: the averaged model; its weights are copied where they are the best.
        """
        self._fall = self._single.pgd - single.pgd
        self._single = single
        self._detected = collapsed(
            epoch, self._epochs, single.fgsm, single.pgd, best=self._best_single
        )
        self._best_single = max(self._best_single, single.pgd)
        if self._detected and not self.collapsed_in:
            self.collapsed_in = epoch
        if not self.collapsed_in and (robust > self.best_robust or not self.best_epoch):
            self.best_epoch, self.best_robust = epoch, robust
            self.best_weights = {
                name: weight.detach().clone() for name, weight in average.state_dict().items()
            }

    def earlier_best(self, epoch: int) -> dict[str, Tensor] | None:
        """Return the best weights where they are of an earlier epoch than this last one."""
        return self.best_weights if self.best_epoch < epoch else None

    def metrics(self) -> dict[str, Any]:
        """Return what `EpochMetrics` says about collapse and the best epoch."""
        return {
            "raw_fgsm": self._single.fgsm,
            "raw_pgd": self._single.pgd,
            "co_ratio": ratio(self._single.fgsm, self._single.pgd),
            "co_drop": self._fall,
            "co_detected": self._detected,
            "best_epoch": self.best_epoch,
            "best_robust": self.best_robust,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs."""
        return {
            "single": (self._single.fgsm, self._single.pgd),
            "best_single": self._best_single,
            "collapsed_in": self.collapsed_in,
            "best_epoch": self.best_epoch,
            "best_robust": self.best_robust,
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self._single = SingleStep(*state["single"])
        self._best_single = state["best_single"]
        self.collapsed_in = state["collapsed_in"]
        self.best_epoch, self.best_robust = state["best_epoch"], state["best_robust"]
        self.best_weights = state["best_weights"]
