"""Which trials a search has still to do: what waits, and new ones up to a number."""

from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import TrialState

from pipeline.study.followed_storage import index_of


@dataclass(frozen=True)
class SampledQueue:
    """What waits in the study comes first; then the sampler is asked until there are enough.

    study: the study.
    total: number of trials that the study shall have; None where time alone ends it.
    """

    study: Study
    total: int | None

    def refill(self) -> None:
        """Do nothing: new trials are sampled when they are asked for."""

    def empty(self) -> bool:
        """Tell whether nothing waits and the study has its number of trials."""
        index = index_of(self.study)
        if self.total is None or len(index) < self.total:
            return False
        return not index.count(TrialState.WAITING)
