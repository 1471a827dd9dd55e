"""Two objectives, robust and clean accuracy: the front, and the study that a sampler sees of it.

The study itself keeps one value, robust accuracy, and its epochs: Optuna reports no epochs of a
study with two objectives.
"""

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.samplers._derived import rebuilt
from pipeline.study.remarks import latest


def both(trial: FrozenTrial) -> tuple[float, float]:
    """Return robust and clean accuracy of a complete trial on the validation images."""
    assert trial.value is not None, "a complete trial has a value"
    return trial.value, latest(trial).valid_clean


def front(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return those complete trials that no other one beats, the most robust first.

    One trial beats another that is no better in either accuracy and worse in one.
    """
    found: list[FrozenTrial] = []
    for trial in sorted(trials, key=both, reverse=True):
        if not found or both(trial)[1] > both(found[-1])[1]:
            found.append(trial)
    return found


def with_both(study: Study) -> Study:
    """Show complete trials with both accuracies, and the others without epochs."""

    def values(trial: FrozenTrial) -> list[float] | None:
        return list(both(trial)) if trial.state == TrialState.COMPLETE else None

    return rebuilt(study, values, objectives=2)
