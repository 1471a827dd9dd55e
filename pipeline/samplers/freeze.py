"""The configuration that the model of all curves finds most promising."""

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.forecast.curves import curves_of
from pipeline.forecast.decision import GUARD, forecast
from pipeline.samplers import SamplerContext


class FreezeSampler(BaseSampler):
    """Draws the parameters of one trial together."""

    def __init__(self, seed: int, guard: int) -> None:
        self._seed, self._guard = seed, guard
        self._random = RandomSampler(seed=seed)

    def reseed_rng(self) -> None:
        self._random.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        curves = curves_of(study)
        if trial.number < self._guard or curves.coordinates is None:
            return {}
        return dict(curves.coordinates.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        found = forecast(study, (self._seed, trial.number, 0))
        return {} if found is None else found.coordinates.params(found.next())

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def freeze(context: SamplerContext) -> BaseSampler:
    return FreezeSampler(context.seed, GUARD)
