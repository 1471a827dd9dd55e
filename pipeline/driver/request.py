"""What a command line asks of a search, checked."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.driver.rules import Rules
from pipeline.problem.problem import SearchProblem


@dataclass(frozen=True)
class Request:
    """Everything that `search.py` was told; None means the default."""

    question: SearchProblem
    study: str
    runs: Path
    trials: int | None
    budget: float | None  # seconds for the whole study
    seed: int
    concurrency: int | None
    gpus_per_trial: float | None
    sampler: str
    pruner: str
    probes: int  # one trial in so many is not pruned; 0 for none
    rules: Rules
    enqueue: tuple[Path, ...]  # exported configurations to begin with
    storage: str | None
    checkpoints: str | None  # URL in an object store
    heartbeat: int  # seconds, of a driver on a database
    tracking_uri: str
    address: str | None

    @property
    def searched(self) -> tuple[str, ...]:
        """Names of the searched parameters, in the space's order."""
        return tuple(self.question.space.ranges)
