"""A pruner of a user's own, whose name is put before the reasons that it gives."""

from dataclasses import dataclass, replace

from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.study.contracts import Pruner, Stop
from pipeline.study.remarks import kind_of_stop


@dataclass(frozen=True)
class NamedPruner:
    """Asks a pruner, and says whose reason it is.

    name: name of the pruner.
    asked: the pruner.
    outer: whether it goes round another one, whose reasons it may pass on: these stay as they are.
    """

    name: str
    asked: Pruner
    outer: bool

    def stop(self, study: Study, trial: FrozenTrial) -> Stop | None:
        """Return the pruner's answer, with its name before a reason of its own."""
        found = self.asked.stop(study, trial)
        if found is None or (self.outer and kind_of_stop(found.reason)):
            return found
        return replace(found, reason=f"{self.name}: {found.reason}")
