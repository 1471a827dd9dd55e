"""What there is to say about a trial, in words."""

import re

from pipeline.study.records import TrialRecord

_VIOLATIONS = {
    "catastrophic_overfitting": "catastrophic overfitting, so it is no candidate",
    "clean": "clean accuracy {clean:.3f} is below {least:.4g}, so it is no candidate",
}

_STOPS = {
    "rank ": "by rank",
    "at epoch ": "as less promising than new ones",
    "best ": "below the median",
    "catastrophic overfitting": "by catastrophic overfitting",
    "the budget ": "as the budget ended",
}
"""How a reason begins -> the kind that it is of, as words that follow 'stopped'."""

_NAMED = re.compile(r"(\w+)(?: stops it at epoch|: )")
"""How a reason begins to which a pruner's name was added, see `pipeline.pruners`."""


def stopped_by(trial: TrialRecord) -> str:
    """Return the kind of reason for which a trial was stopped; '' where it wasn't."""
    if trial.state != "PRUNED":
        return ""
    return kind_of_stop(trial.reason) or "for other reasons"


def kind_of_stop(reason: str) -> str:
    """Return the kind that a reason to stop is of, as words that follow 'stopped'; '' for none."""
    known = (kind for start, kind in _STOPS.items() if reason.startswith(start))
    named = _NAMED.match(reason)
    return next(known, f"by {named[1]}" if named else "")


def warnings(trial: TrialRecord) -> list[str]:
    """Return why a trial's robust accuracy may not mean what it says: [] for most."""
    if not trial.last_epoch:
        return []
    latest, found = trial.latest, list[str]()
    first = next((epoch for epoch, m in trial.epochs.items() if m.co_detected), None)
    if first is not None:
        found.append(
            f"catastrophic overfitting in epoch {first} (best before: {latest.best_robust:.3f} in "
            f"epoch {latest.best_epoch})"
        )
    steps = trial.config["eval_steps"]
    assert isinstance(steps, int), "a configuration is checked before it is stored"
    return found + list(latest.final.flags(steps) if latest.final else ())


def violated_constraints(trial: TrialRecord) -> list[str]:
    """Return which constraints a trial violates: [] for a candidate."""
    clean = trial.clean or 0.0
    return [
        _VIOLATIONS[name].format(clean=clean, least=clean + by)
        for name, by in trial.constraints.items()
        if by > 0
    ]


def remarks(trial: TrialRecord) -> str:
    """Return in one line why a trial is what it is: its reason, its origin, warnings."""
    found = [trial.reason] if trial.reason else []
    if trial.is_default:
        found.append(trial.default_in_words)
    elif trial.origin != "sampled":
        found.append(trial.origin)
    if trial.would_prune and trial.state != "PRUNED":
        found.append(f"control trial; the pruner would have stopped it: {trial.would_prune}")
    found += [f"tried again: {reason}" for reason in dict.fromkeys(trial.retries)]
    if trial.state == "COMPLETE":
        found += violated_constraints(trial) + warnings(trial)
    return "; ".join(found)
