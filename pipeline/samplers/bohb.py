"""TPE that learns from trials that were stopped, too (Falkner et al., ICML 2018)."""

import optuna
from optuna.samplers import BaseSampler

from pipeline.samplers import SamplerContext
from pipeline.samplers._derived import DerivedSampler, at_common_epoch


def bohb(context: SamplerContext) -> BaseSampler:
    """Build TPE over all trials that reached a common epoch.

    The settings were chosen on the tuning tasks of `benchmarks/search.py`.
    """
    tpe = optuna.samplers.TPESampler(seed=context.seed, multivariate=False, n_startup_trials=16)
    return DerivedSampler(tpe, at_common_epoch)
