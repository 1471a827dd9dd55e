"""What a trial has reported to its study, and what is doubtful about it."""

from typing import TYPE_CHECKING

from regmix.errors import InputError
from regmix.metrics import EpochMetrics

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


def latest(trial: "FrozenTrial") -> EpochMetrics:
    """Return the metrics of the last epoch that a trial reported.

    Raises:
        InputError: where another version of this project wrote them.
    """
    assert trial.last_step is not None, "only a trial that reported has metrics"
    try:
        return EpochMetrics.from_dict(trial.user_attrs[f"epoch_{trial.last_step}"])
    except TypeError:
        raise InputError(
            f"trial {trial.number}: was written by another version of this project, with other "
            "metrics; begin a new study by --study"
        ) from None


def doubts(trial: "FrozenTrial") -> list[str]:
    """Return in words why a trial's robust accuracy may not mean what it says: [] for most."""
    if not trial.last_step:
        return []
    metrics, found = latest(trial), list[str]()
    first = next(
        (
            e
            for e in sorted(trial.intermediate_values)
            if trial.user_attrs[f"epoch_{e}"]["collapse"]
        ),
        None,
    )
    if first is not None:
        found.append(
            f"collapsed in epoch {first} (the best before: {metrics.best_robust:.3f} in epoch "
            f"{metrics.best_epoch})"
        )
    return found + list(metrics.judged.masking.flags() if metrics.judged else ())
