"""How a trial ends: what was decided, what it breaks, and what an epoch counts for."""

import copy
from dataclasses import asdict, dataclass
from typing import Literal

from optuna.trial import FrozenTrial

from pipeline.study.remarks import latest
from regmix.training.catastrophic_overfitting import RATIO
from regmix.training.metrics import EpochMetrics


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended, and why where it did not reach its end."""

    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    reason: str = ""


def decided(trial: FrozenTrial) -> TrialOutcome | None:
    """Return how a trial ends with the last epoch that the study knows, None where it goes on."""
    ending = trial.user_attrs.get("ending")
    if ending is None or ending["epoch"] != trial.last_step:
        return None
    return TrialOutcome(ending["state"], ending["reason"])


def with_epoch(trial: FrozenTrial, metrics: EpochMetrics) -> FrozenTrial:
    """Return a copy that has the epoch already.

    A collapsed epoch counts with what the present weights are worth: their average lags behind.
    """
    result, robust = copy.copy(trial), metrics.valid_robust
    value = min(robust, metrics.raw_pgd) if metrics.co_detected else robust
    result.intermediate_values = {**trial.intermediate_values, metrics.epoch: value}
    result.user_attrs = {**trial.user_attrs, f"epoch_{metrics.epoch}": asdict(metrics)}
    return result


def violations(
    trial: FrozenTrial, ending: TrialOutcome, min_clean: float | None
) -> dict[str, float]:
    """Return by how much a trial breaks each constraint; 0 or less where it holds it.

    Args:
        trial: with its epochs.
        ending: of it.
        min_clean: clean accuracy that a complete trial must have; None asks for none.
    """
    epochs = [trial.user_attrs[f"epoch_{epoch}"] for epoch in trial.intermediate_values]
    ratios = [epoch["co_ratio"] for epoch in epochs if epoch["co_detected"]]
    found = {"co_detected": RATIO - min(ratios)} if ratios else {}
    if min_clean is not None and ending.state == "COMPLETE":
        found["clean"] = min_clean - latest(trial).valid_clean
    return found
