"""A sampler that goes on where a kill left a trial with some of its parameters."""

from collections.abc import Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.study import optuna_private


class ResumingSampler(BaseSampler):
    """Draws again what a trial has already, so that the rest comes out as without the kill.

    Parameters are stored one by one, and the random stream of a trial starts anew with each
    `ask`: the next parameter would get the draw that was the first one's.
    """

    def __init__(self, inner: BaseSampler) -> None:
        """Sample one trial by `inner`, which has drawn nothing yet."""
        self._inner = inner
        self._drawn = set[str]()  # those that need not be drawn again

    def reseed_rng(self) -> None:
        """Seed the inner sampler anew."""
        self._inner.reseed_rng()

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Let the inner sampler prepare."""
        self._inner.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """Let the inner sampler end."""
        self._inner.after_trial(study, trial, state, values)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what the inner sampler samples together."""
        found = self._inner.infer_relative_search_space(study, trial)
        self._drawn |= found.keys()
        return found

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Sample these parameters, unless they were drawn before a kill."""
        known = optuna_private.relative_params(trial)
        if search_space and search_space.keys() <= known.keys():
            return {name: known[name] for name in search_space}
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        """Sample one parameter, after those that the trial has from before a kill."""
        for name, distribution in trial.distributions.items():
            if name not in self._drawn:
                self._drawn.add(name)
                self._inner.sample_independent(study, trial, name, distribution)
        self._drawn.add(param_name)
        return self._inner.sample_independent(study, trial, param_name, param_distribution)
