"""Independent draws: the baseline of every search."""

import optuna
from optuna.samplers import BaseSampler

from pipeline.samplers import SamplerContext


def random(context: SamplerContext) -> BaseSampler:
    """Draw each parameter independently from its range."""
    return optuna.samplers.RandomSampler(seed=context.seed)
