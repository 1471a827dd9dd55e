"""Which trials are better: the order of a table, candidates, and the front of two accuracies."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from pipeline.study.followed_storage import index_of
from pipeline.study.records import StudyRecord, TrialRecord

STATES = ("COMPLETE", "RUNNING", "WAITING", "PRUNED", "FAIL")
_ORDER = {"COMPLETE": 0, "RUNNING": 1, "WAITING": 1, "PRUNED": 2, "FAIL": 3}


def ranked(study: StudyRecord) -> list[TrialRecord]:
    """Return all trials: complete ones by the objective, then the others by epoch and value.

    Complete trials that violate a constraint come after those that do not.
    """
    return sorted(study.trials(), key=_key)


def _key(trial: TrialRecord) -> tuple[float, ...]:
    value = trial.final_robust if trial.final_robust is not None else trial.value
    worth = -1.0 if value is None else value
    order = _ORDER[trial.state]
    return (order, violates(trial), -trial.last_epoch, -worth, trial.number)


@dataclass
class Complete:
    """A view of the complete trials, in the order of `ranked`."""

    _keys: dict[int, tuple[float, ...]] = field(default_factory=dict)  # by number of the trial
    _ordered: list[tuple[float, ...]] = field(default_factory=list)
    _defaults: set[int] = field(default_factory=set)

    def put(self, trial: FrozenTrial) -> None:
        """Take a trial."""
        record = TrialRecord(trial)
        key = _key(record) if record.state == "COMPLETE" else None
        known = self._keys.pop(trial.number, None)
        if known is not None:
            del self._ordered[bisect_left(self._ordered, known)]
        if key is not None:
            self._keys[trial.number] = key
            insort(self._ordered, key)
            if record.is_default:
                self._defaults.add(trial.number)

    def best(self, count: int) -> Sequence[int]:
        """Return the numbers of the best, the best first."""
        return [int(key[-1]) for key in self._ordered[:count]]

    @property
    def defaults(self) -> frozenset[int]:
        """Numbers of those that have the recipe's own values, or the nearest."""
        return frozenset(self._defaults)


def complete(study: StudyRecord) -> Complete:
    """Return the complete trials in order, kept current from the first call on."""
    return index_of(study.study).view("complete", Complete())


def violates(trial: TrialRecord) -> bool:
    """Tell whether a trial violates a constraint."""
    return any(violation > 0 for violation in trial.constraints.values())


def candidates(study: StudyRecord) -> list[TrialRecord]:
    """Return the complete trials that hold every constraint, the best first."""
    return [t for t in ranked(study) if t.state == "COMPLETE" and not violates(t)]


def distinct_candidates(study: StudyRecord) -> list[TrialRecord]:
    """Return the candidates, the best first, each configuration once: the default, or its best.

    Seeds are the same for all configurations, so two equal ones are trained to the same numbers.
    """
    found = candidates(study)
    kept: list[TrialRecord] = []
    for trial in sorted(found, key=lambda trial: not trial.is_default):
        if all(trial.params != other.params for other in kept):
            kept.append(trial)
    return [trial for trial in found if trial in kept]


def count_states(study: StudyRecord) -> dict[str, int]:
    """Return state -> number of trials, zeros too."""
    index = index_of(study.study)
    return {state: index.count(TrialState[state]) for state in STATES}


def accuracies(trial: TrialRecord) -> tuple[float, float]:
    """Return robust and clean accuracy of a complete trial on the validation images."""
    robust, clean = trial.final_robust, trial.clean
    assert robust is not None and clean is not None, "a complete trial has both"
    return robust, clean


def front(trials: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Return those complete trials that no other one beats, the most robust first.

    One trial beats another that is no better in either accuracy and worse in one.
    """
    found: list[TrialRecord] = []
    for trial in sorted(trials, key=accuracies, reverse=True):
        if not found or accuracies(trial)[1] > accuracies(found[-1])[1]:
            found.append(trial)
    return found


def pruned_epochs(study: StudyRecord) -> tuple[int, int]:
    """Return how many epochs pruning left out, and how many all ended trials would have had."""
    left = full = 0
    for trial in study.trials():
        if trial.state in ("COMPLETE", "PRUNED"):
            full += trial.total_epochs
            left += trial.total_epochs - trial.last_epoch
    return left, full
