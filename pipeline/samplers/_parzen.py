"""Optuna's tree-structured Parzen estimators on observations that follow the study.

The draws are those of Optuna's own sampler, to the bit, at a cost that does not grow with the
number of trials beyond `MOST` of `_observations.py`: held by `tests/pipeline/test_parzen.py`.
"""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from pipeline.samplers._observations import Observations
from pipeline.study import optuna_private
from pipeline.study.followed_storage import index_of


class ParzenSampler(BaseSampler):
    """Draws the parameters of one trial. Two objectives are left to Optuna's own sampler."""

    def __init__(self, seed: int, startup: int, *, together: bool, at_common_epoch: bool) -> None:
        """Prepare for one trial.

        Args:
            seed: seed of the trial's random stream.
            startup: number of ended trials before which is drawn at random.
            together: whether parameters are drawn together, else each by itself.
            at_common_epoch: see `Observations`.
        """
        self._tpe = optuna.samplers.TPESampler(
            seed=seed, multivariate=None if together else False, n_startup_trials=startup
        )
        self._random = optuna.samplers.RandomSampler(seed=seed)
        self._startup, self._together, self._at_common = startup, together, at_common_epoch
        self._observed: tuple[Study, Observations] | None = None

    def _of(self, study: Study) -> Observations:
        """Return what is known of a study's trials; other drivers' changes are looked at once."""
        if self._observed is None or self._observed[0] is not study:
            key = ("observations", self._at_common, self._together)
            empty = Observations(self._at_common, self._together)
            self._observed = study, index_of(study).view(key, empty)
        return self._observed[1]

    def reseed_rng(self) -> None:
        """Seed anew."""
        self._tpe.reseed_rng()
        self._random.reseed_rng()

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return what all ended trials have in common, where it is drawn together."""
        if len(study.directions) > 1:
            return self._tpe.infer_relative_search_space(study, trial)
        space = self._of(study).space if self._together else None
        return {name: one for name, one in sorted((space or {}).items()) if not one.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Draw these parameters, and store them so that other drivers know what is under way."""
        if len(study.directions) > 1:
            return self._tpe.sample_relative(study, trial, search_space)
        if not search_space or self._of(study).finished < self._startup:
            return {}
        found = self._draw(study, trial, search_space)
        optuna_private.share_params(study, trial, found)
        return found

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:  # noqa: ANN401
        """Draw one parameter."""
        if len(study.directions) > 1:
            return self._tpe.sample_independent(study, trial, param_name, param_distribution)
        if self._of(study).finished < self._startup:
            return self._random.sample_independent(study, trial, param_name, param_distribution)
        return self._draw(study, trial, {param_name: param_distribution})[param_name]

    def _draw(
        self, study: Study, trial: FrozenTrial, space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        observed = self._of(study)
        below, above = observed.divided(trial.number)
        columns = {name: observed.column(name, one) for name, one in space.items()}
        for column in columns.values():  # a trial without one of them is left out
            below, above = (
                below[column[below] == column[below]],
                above[column[above] == column[above]],
            )
        return optuna_private.best_draw(
            self._tpe,
            space,
            {name: column[below] for name, column in columns.items()},
            {name: column[above] for name, column in columns.items()},
        )
