"""What a trial has reported to its study, and what there is to say about it."""

from typing import TYPE_CHECKING

from regmix.errors import InputError
from regmix.training.metrics import EpochMetrics

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
            if trial.user_attrs[f"epoch_{e}"]["co_detected"]
        ),
        None,
    )
    if first is not None:
        found.append(
            f"collapsed in epoch {first} (the best before: {metrics.best_robust:.3f} in epoch "
            f"{metrics.best_epoch})"
        )
    return found + list(metrics.final.masking.flags() if metrics.final else ())


def broken(trial: "FrozenTrial") -> list[str]:
    """Return in words which constraints a trial breaks: [] for a candidate."""
    words = {
        "co_detected": "collapsed, so it is no candidate",
        "clean": "clean accuracy is {:.3f} too low, so it is no candidate",
    }
    return [words[name].format(by) for name, by in trial.constraints.items() if by > 0]


def notes(trial: "FrozenTrial") -> str:
    """Return in one line why a trial is what it is: its reason, where it came from, doubts."""
    facts = trial.user_attrs
    found = [facts["reason"]] if facts.get("reason") else []
    if origin := facts.get("origin"):
        found.append("the recipe's default" if origin == "default" else origin)
    if facts.get("spared") and trial.state.name != "PRUNED":
        found.append(f"a probe: {facts['spared']}")
    found += [f"tried again: {reason}" for reason in dict.fromkeys(facts.get("retries", ()))]
    if trial.state.name == "COMPLETE":
        found += broken(trial) + doubts(trial)
    return "; ".join(found)
