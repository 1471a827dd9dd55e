"""Samplers that learn from a study derived from the real one.

Optuna's samplers read a study. What they should learn from a trial is decided here, and the real
study stays the truth.
"""

from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.study import optuna_private
from pipeline.study.ranking import accuracies
from pipeline.study.records import TrialRecord


class DerivedSampler(BaseSampler):
    """Lets a sampler read a derived study, made once for all parameters of a trial."""

    def __init__(self, inner: BaseSampler, derive: Callable[[Study], Study]) -> None:
        """Sample as `inner` does from what `derive` makes of the study."""
        self._inner, self._derive = inner, derive
        self._derived: tuple[int, Study] | None = None  # the trial that it was made for

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what the inner sampler samples together."""
        return self._inner.infer_relative_search_space(*self._shown(study, trial))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample these parameters."""
        return self._inner.sample_relative(*self._shown(study, trial), search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        """Sample one parameter."""
        shown = self._shown(study, trial)
        return self._inner.sample_independent(*shown, param_name, param_distribution)

    def _shown(self, study: Study, trial: FrozenTrial) -> tuple[Study, FrozenTrial]:
        """Return the derived study and the trial there, whose storage has ids of its own."""
        if self._derived is None or self._derived[0] != trial.number:
            self._derived = trial.number, self._derive(study)
        derived = self._derived[1]
        return derived, derived.get_trials(deepcopy=False)[trial.number]


def rebuilt(
    study: Study, values: Callable[[FrozenTrial], list[float] | None], objectives: int
) -> Study:
    """Return a study in memory with the same trials.

    Args:
        study: the real one.
        values: returns the values of a trial that is shown as complete, one for each objective;
            None for a trial that is shown as it is, but without epochs where there are several
            objectives.
        objectives: number of objectives, all to be maximised.
    """
    derived = optuna.create_study(directions=["maximize"] * objectives)
    for trial in study.get_trials(deepcopy=False):
        found = values(trial)
        hidden = found is None and trial.state == TrialState.COMPLETE
        state = trial.state if found is None else TrialState.COMPLETE
        state = TrialState.PRUNED if hidden else state
        epochs = trial.intermediate_values if objectives == 1 else {}
        derived.add_trial(optuna_private.in_other_state(trial, state, found, epochs))
    return derived


def with_both_accuracies(study: Study) -> Study:
    """Show complete trials with robust and clean accuracy, and the others without epochs.

    The study itself keeps one value, robust accuracy, and its epochs: Optuna reports no epochs of
    a study with two objectives.
    """

    def values(trial: FrozenTrial) -> list[float] | None:
        if trial.state != TrialState.COMPLETE:
            return None
        return list(accuracies(TrialRecord(trial)))

    return rebuilt(study, values, objectives=2)
