"""Optuna's samplers by name, seeded so that a study continued later never repeats itself."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import optuna
from optuna.samplers import BaseSampler

from pipeline.samplers._derived import ShownSampler, at_common_epoch
from pipeline.samplers._sequence import SequenceSampler, Sobol, grid
from pipeline.study.pareto import with_both

if TYPE_CHECKING:
    from pipeline.problem.space import SearchSpace


# Each takes a seed of the trial, the seed of the study, and the space.
_SAMPLERS: Mapping[str, Callable[[int, int, "SearchSpace"], BaseSampler]] = {
    "random": lambda own, study, space: optuna.samplers.RandomSampler(seed=own),
    "tpe": lambda own, study, space: optuna.samplers.TPESampler(seed=own, constant_liar=True),
    # settings by the tuning tasks of `benchmarks/search.py`
    "bohb": lambda own, study, space: ShownSampler(
        optuna.samplers.TPESampler(seed=own, multivariate=False, n_startup_trials=16),
        at_common_epoch,
    ),
    # of complete trials alone; it imports torch into the driver
    "gp": lambda own, study, space: optuna.samplers.GPSampler(seed=own),
    # keeps its state in the study's storage, as a pickle of its own
    "cmaes": lambda own, study, space: optuna.samplers.CmaEsSampler(seed=own),
    "qmc": lambda own, study, space: SequenceSampler(Sobol(len(space.ranges), study), space.ranges),
    "grid": lambda own, study, space: SequenceSampler(grid(space.ranges, study), space.ranges),
}


def names() -> tuple[str, ...]:
    """Return the samplers that there are."""
    return tuple(_SAMPLERS)


def build(
    name: str, seed: int, number: int, space: "SearchSpace", *, front: bool = False
) -> BaseSampler:
    """Build the sampler for trial `number`.

    Its random stream depends on seed and number alone. One stream for the whole study would
    start again whenever a killed search goes on, and propose its first trials a second time.

    Args:
        name: of the sampler.
        seed: of the study.
        number: of the trial.
        space: that is sampled.
        front: whether it is to seek the front of robust and clean accuracy.
    """
    stream = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if front and name == "bohb":  # epochs have one value
        name = "tpe"
    sampler = _SAMPLERS[name](stream, seed, space)
    return ShownSampler(sampler, with_both) if front else sampler
