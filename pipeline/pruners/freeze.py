"""Stop a trial where the model of all curves finds a new one more promising."""

import math
from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.forecast.decision import GUARD, NEAR, RANDOM, forecast
from pipeline.pruners.halving import halving
from pipeline.study.contracts import Pruner, Stop
from pipeline.study.followed_storage import index_of
from pipeline.study.progress import progress
from pipeline.study.records import StudyRecord

LAST = 0.75
RUNGS = (1 / 10, 1 / 5, 1 / 3, 1 / 2, 2 / 3, 5 / 6)


@dataclass(frozen=True)
class Freeze:
    """Freeze-thaw (Swersky et al., 2014) without thawing."""

    rungs: tuple[int, ...]
    first: Pruner
    guard: int = GUARD
    last: float = LAST

    def stop(self, study: Study, trial: FrozenTrial) -> Stop | None:
        """Return how many new configurations are likelier to be better, else None."""
        if len(index_of(study)) <= self.guard:
            return self.first.stop(study, trial)
        record, epoch = StudyRecord(study), trial.last_step
        if epoch not in self.rungs or progress(record) >= self.last:
            return None
        found = forecast(study, (record.seed, trial.number, epoch), trial)
        if found is None:
            return None
        rivals = found.rivals(trial.number)
        if not rivals.likelier:
            return None
        return Stop(
            f"{rivals.likelier} of {RANDOM + NEAR} new configurations are likelier to beat "
            f"{rivals.goal.target:.3f} within {rivals.goal.horizon} epochs"
        )


def freeze(epochs: int, eval_every: int = 1) -> Freeze:
    """Put rungs at a tenth, a fifth, a third, a half, two thirds and five sixths of the epochs."""
    wanted = (math.ceil(share * epochs / eval_every) * eval_every for share in RUNGS)
    rungs = tuple(sorted({rung for rung in wanted if rung < epochs}))
    return Freeze(rungs, halving(epochs, eval_every))
