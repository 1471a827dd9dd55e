"""Let another pruner stop only trials that another one beats in robust and clean accuracy."""

from dataclasses import dataclass

from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.pruners.halving import halving
from pipeline.study.contracts import Pruner, Stop
from pipeline.study.records import TrialRecord


@dataclass(frozen=True)
class Dominated:
    """For a search of the front: what is best in clean accuracy is no loser.

    inner: pruner by robust accuracy; it is followed where some trial was at least as good
        in both accuracies at the same epoch, and better in one.
    """

    inner: Pruner

    def stop(self, study: Study, trial: FrozenTrial) -> Stop | None:
        """Return the inner pruner's reason and which trial is better in both."""
        stop, latest = self.inner.stop(study, trial), TrialRecord(trial).latest
        if stop is None or stop.certain or not latest.validated:
            return stop
        epoch = latest.epoch
        mine = _accuracies(trial, epoch)
        for other in study.get_trials(deepcopy=False):
            if other.number == trial.number or epoch not in TrialRecord(other).known:
                continue
            theirs = _accuracies(other, epoch)
            if theirs != mine and all(t >= m for t, m in zip(theirs, mine, strict=True)):
                return Stop(f"{stop.reason}, and trial {other.number} beats it in both accuracies")
        return None


def _accuracies(trial: FrozenTrial, epoch: int) -> tuple[float, float]:
    clean = TrialRecord(trial).metrics(epoch).valid_clean
    assert clean is not None, "all are validated at the same epochs"
    return trial.intermediate_values[epoch], clean


def dominated(epochs: int, inner: Pruner | None = None, eval_every: int = 1) -> Dominated:
    """Go round another pruner, or round halving."""
    return Dominated(inner or halving(epochs, eval_every))
