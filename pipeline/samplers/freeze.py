"""The configuration that the model of all learning curves finds most promising."""

from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.forecast.curves import curves_of
from pipeline.forecast.decision import forecast
from pipeline.forecast.guard import GUARD, first_trials
from pipeline.forecast.transfer import sources_of
from pipeline.samplers import SamplerContext
from pipeline.study.records import StudyRecord


class FreezeSampler(BaseSampler):
    """Draws the parameters of one trial: the first ones at random, then all together."""

    def __init__(self, seed: int) -> None:
        """Prepare for one trial."""
        self._seed = seed
        self._random = RandomSampler(seed=seed)

    def reseed_rng(self) -> None:
        """Seed anew."""
        self._random.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return all parameters, where the model draws them."""
        coordinates = curves_of(study).coordinates
        early = self._is_early(study, trial) and not sources_of(study).copies
        return {} if coordinates is None or early else dict(coordinates.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the most promising configuration; nothing where too little is known."""
        found = forecast(study, (self._seed, trial.number)) if search_space else None
        if found is None or (self._is_early(study, trial) and not found.trusts_a_source):
            return {}
        return found.coordinates.params(found.most_promising())

    def _is_early(self, study: Study, trial: FrozenTrial) -> bool:
        """Tell whether the study's own trials are too few for the model to propose one."""
        return trial.number < first_trials(StudyRecord(study), GUARD)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        """Draw one parameter at random."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)


def freeze(context: SamplerContext) -> BaseSampler:
    """Build it for one trial; its stops are those of the pruner of this name."""
    return FreezeSampler(context.seed)
