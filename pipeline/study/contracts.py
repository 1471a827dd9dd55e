"""What a study asks of others: a problem, a pruner, samplers, and which trials come next."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.problem.space import SearchSpace
from regmix.config import TrainConfig
from regmix.ranges import Value


@dataclass(frozen=True)
class Stop:
    """Why a pruner would stop a trial.

    certain: whether the default configuration and control trials are stopped too, since the
        reason does not depend on how other trials fare.
    """

    reason: str
    certain: bool = False


class Problem(Protocol):
    """What a study is about."""

    @property
    def space(self) -> SearchSpace:
        """The ranges of a trial's parameters."""

    def config(self, params: Mapping[str, Value]) -> TrainConfig:
        """Return the run that a trial's parameters mean."""


class Pruner(Protocol):
    """Decides whether a running trial goes on, and gives the reason in words."""

    def stop(self, study: Study, trial: FrozenTrial) -> Stop | None:
        """Return why the trial should stop at its last reported epoch, or None to go on."""


class SamplerFactory(Protocol):
    """Builds the sampler of one trial."""

    def __call__(self, number: int) -> BaseSampler:
        """Return the sampler that chooses the parameters of trial `number`."""


class Queue(Protocol):
    """Decides which trials are still to come."""

    @property
    def total(self) -> int | None:
        """Number of trials that the study shall have; None where time alone ends it."""

    def refill(self) -> None:
        """Enqueue the trials that have become due."""

    def empty(self) -> bool:
        """Tell whether no trial is left to begin or to continue."""
