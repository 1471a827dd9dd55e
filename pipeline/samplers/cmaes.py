"""Covariance matrix adaptation (Hansen, 2016), for one objective."""

import optuna
from optuna.samplers import BaseSampler

from pipeline.samplers import SamplerContext


def cmaes(context: SamplerContext) -> BaseSampler:
    """Build Optuna's CMA-ES, which keeps its state in the storage, as a pickle of its own."""
    return optuna.samplers.CmaEsSampler(seed=context.seed)
