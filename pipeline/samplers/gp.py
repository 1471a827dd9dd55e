"""A Gaussian process on complete trials alone; it imports torch into the driver."""

import optuna
from optuna.samplers import BaseSampler

from pipeline.samplers import SamplerContext


def gp(context: SamplerContext) -> BaseSampler:
    """Build Optuna's Gaussian process sampler."""
    return optuna.samplers.GPSampler(seed=context.seed)
