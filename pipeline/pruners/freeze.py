"""Stop a trial where the model of all learning curves finds a new one more promising."""

import math
from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.forecast.decision import forecast
from pipeline.forecast.guard import GUARD, guarded
from pipeline.pruners.halving import halving
from pipeline.study.contracts import Pruner, Stop
from pipeline.study.progress import progress
from pipeline.study.records import StudyRecord

LAST = 0.75
"""Share of what the study was asked for after which no trial is stopped for a new one.

What runs then is finished; without this rule hardly any trial ends.
"""

_RUNGS = (1 / 10, 1 / 5, 1 / 3, 1 / 2, 2 / 3, 5 / 6)


@dataclass(frozen=True)
class Freeze:
    """Freeze-thaw (Swersky et al., 2014), in a form that stops and never pauses.

    rungs: epochs, ascending, at which a trial is held against new configurations.
    first: pruner of the first trials, of which the model learns.
    guard: most trials that `first` decides over, see `pipeline.forecast.guard`.
    last: share of the study after which no trial is stopped.
    """

    rungs: tuple[int, ...]
    first: Pruner
    guard: int = GUARD
    last: float = LAST

    def stop(self, study: Study, trial: FrozenTrial) -> Stop | None:
        """Return how many new configurations are likelier to succeed at a rung, else None."""
        if guarded(study, self.guard):
            return self.first.stop(study, trial)
        record, epoch = StudyRecord(study), trial.last_step
        if epoch not in self.rungs or progress(record) >= self.last:
            return None
        found = forecast(study, (record.seed, trial.number, epoch), trial)
        rivals = None if found is None else found.rivals(trial.number)
        if rivals is None or not rivals.likelier:
            return None
        within = f"{rivals.goal.horizon} epoch{'s' * (rivals.goal.horizon > 1)}"
        return Stop(
            f"at epoch {epoch}, {rivals.likelier} of {len(rivals.new)} new configurations are "
            f"likelier to beat {rivals.goal.target:.3f} within {within}"
        )


def freeze(epochs: int, eval_every: int = 1) -> Freeze:
    """Put rungs at a tenth, a fifth, a third, a half, two thirds and five sixths of the epochs.

    Each is the next epoch that has a validation.
    """
    wanted = (math.ceil(share * epochs / eval_every) * eval_every for share in _RUNGS)
    rungs = tuple(sorted({rung for rung in wanted if rung < epochs}))
    return Freeze(rungs, halving(epochs, eval_every))
