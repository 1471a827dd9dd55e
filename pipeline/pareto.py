"""Two objectives, robust and clean accuracy: the front, and samplers that seek it.

The study itself keeps one value, robust accuracy, and its epochs: Optuna reports no epochs of a
study with two objectives. A sampler is shown a second study instead, made anew each time, in which
complete trials have both values.
"""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.reported import latest


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


class ParetoSampler(BaseSampler):
    """Lets a sampler for several objectives see both accuracies of a study with one value."""

    def __init__(self, inner: BaseSampler) -> None:
        """Sample as `inner` does."""
        self._inner = inner

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what the inner sampler samples together."""
        return self._inner.infer_relative_search_space(_with_both(study), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample these parameters."""
        return self._inner.sample_relative(_with_both(study), trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        """Sample one parameter."""
        return self._inner.sample_independent(
            _with_both(study), trial, param_name, param_distribution
        )


def _with_both(study: Study) -> Study:
    """Return the study in memory with two objectives; pruned trials keep no epochs."""
    shown = optuna.create_study(directions=["maximize", "maximize"])
    for trial in study.get_trials(deepcopy=False):
        complete = trial.state == TrialState.COMPLETE
        shown.add_trial(
            FrozenTrial(
                number=trial.number,
                trial_id=trial.number,
                state=trial.state,
                value=None,
                values=both(trial) if complete else None,
                datetime_start=trial.datetime_start,
                datetime_complete=trial.datetime_complete,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs={},
                system_attrs=trial.system_attrs,
                intermediate_values={},
            )
        )
    return shown
