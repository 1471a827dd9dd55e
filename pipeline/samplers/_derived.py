"""Samplers that are shown another study than the real one.

Optuna's samplers read a study; what they should learn from a trial is decided here, and the study
itself stays the truth.
"""

from collections.abc import Callable
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

ENOUGH = 8
"""So many trials must have reached an epoch before all are ranked by their values there."""


class ShownSampler(BaseSampler):
    """Lets a sampler see what `show` makes of the study, once for all parameters of a trial."""

    def __init__(self, inner: BaseSampler, show: Callable[[Study], Study]) -> None:
        """Sample as `inner` does."""
        self._inner, self._make = inner, show
        self._shown: tuple[int, Study] | None = None  # the trial that it was shown for

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what the inner sampler samples together."""
        return self._inner.infer_relative_search_space(self._show(study, trial), trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample these parameters."""
        return self._inner.sample_relative(self._show(study, trial), trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        """Sample one parameter."""
        shown = self._show(study, trial)
        return self._inner.sample_independent(shown, trial, param_name, param_distribution)

    def _show(self, study: Study, trial: FrozenTrial) -> Study:
        if self._shown is None or self._shown[0] != trial.number:
            self._shown = trial.number, self._make(study)
        return self._shown[1]


def rebuilt(
    study: Study, values: Callable[[FrozenTrial], list[float] | None], objectives: int
) -> Study:
    """Return a study in memory with the same trials.

    Args:
        study: the real one.
        values: of a trial that is shown as complete, one for each objective; None for one that
            is shown as it is, but without epochs where there are several objectives.
        objectives: how many, all to be maximised.
    """
    shown = optuna.create_study(directions=["maximize"] * objectives)
    for trial in study.get_trials(deepcopy=False):
        found = values(trial)
        hidden = found is None and trial.state == TrialState.COMPLETE
        state = trial.state if found is None else TrialState.COMPLETE
        ended = trial.datetime_complete
        shown.add_trial(
            FrozenTrial(
                number=trial.number,
                trial_id=trial.number,
                state=TrialState.PRUNED if hidden else state,
                value=None,
                values=found,
                datetime_start=trial.datetime_start,
                datetime_complete=ended if found is None else ended or trial.datetime_start,
                params=trial.params,
                distributions=trial.distributions,
                user_attrs={},
                system_attrs=trial.system_attrs,
                intermediate_values=trial.intermediate_values if objectives == 1 else {},
            )
        )
    return shown


def at_common_epoch(study: Study) -> Study:
    """Show every trial that reached a certain epoch as complete, with its value there.

    The epoch is the highest that enough trials have reached, running ones too: then like is ranked
    with like (Falkner et al., ICML 2018, BOHB, for TPE). Optuna's own TPE ranks a trial that was
    stopped later above all that were stopped before, whatever their values.
    """
    trials = study.get_trials(deepcopy=False)
    reached = sorted({e for t in trials for e in t.intermediate_values}, reverse=True)
    common = next(
        (e for e in reached if sum(e in t.intermediate_values for t in trials) >= ENOUGH), None
    )
    if common is None:
        return study

    def value(trial: FrozenTrial) -> list[float] | None:
        if trial.state == TrialState.FAIL or common not in trial.intermediate_values:
            return None
        return [trial.intermediate_values[common]]

    return rebuilt(study, value, objectives=1)
