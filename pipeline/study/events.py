"""What a study exchanges with whoever trains its trials: requests, epochs and outcomes.

Workers import this file: it loads neither Optuna nor torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from regmix.config import TrainConfig
from regmix.training.metrics import EpochMetrics


@dataclass(frozen=True)
class TrialRequest:
    """A trial to begin or to continue.

    number: the trial's number in the study.
    config: the run that the trial's parameters mean.
    resume_epoch: the last epoch that the study knows; 0 for a new trial.
    """

    number: int
    config: TrainConfig
    resume_epoch: int


@dataclass(frozen=True)
class CardMemory:
    """Memory of a GPU, bytes.

    peak: the most that the trial's process has had for its tensors.
    others: all that is taken beside what that process has for them now: contexts, neighbours.
    card: all that there is.
    """

    peak: int
    others: int
    card: int


@dataclass(frozen=True)
class EpochResult:
    """An epoch that a worker has trained, and where.

    metrics: what was measured.
    machine: device and threads, see `regmix.device.machine`.
    versions: versions and digest of the code, see `pipeline.problem.environment.versions`.
    memory: memory of its GPU after the epoch; None without a GPU. No study stores it.
    """

    metrics: EpochMetrics
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    memory: CardMemory | None = None


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended, and why where it did not reach its last epoch."""

    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    reason: str = ""
