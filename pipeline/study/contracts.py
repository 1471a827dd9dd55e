"""What a study is about, and what it asks a worker to do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from pipeline.problem.space import SearchSpace
from regmix.config import TrainConfig
from regmix.ranges import Value


@dataclass(frozen=True)
class TrialRequest:
    """A trial to run or to continue."""

    number: int
    config: TrainConfig
    reported: int  # the last epoch that the study knows; 0 for a new trial


class Asked(Protocol):
    """What a study is about."""

    @property
    def space(self) -> SearchSpace:
        """What a trial's parameters may be."""

    def config(self, params: Mapping[str, Value]) -> TrainConfig:
        """Return the run that a trial's parameters mean."""

    def default(self) -> dict[str, Value]:
        """Return the parameters of trial 0."""
