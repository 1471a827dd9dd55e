"""TPE that learns from trials that were stopped, too (Falkner et al., ICML 2018)."""

from optuna.samplers import BaseSampler

from pipeline.samplers import SamplerContext
from pipeline.samplers._parzen import ParzenSampler


def bohb(context: SamplerContext) -> BaseSampler:
    """Build TPE over all trials that reached a common epoch.

    The settings were chosen on the tuning tasks of `benchmarks/search.py`.
    """
    return ParzenSampler(context.seed, 16, together=False, at_common_epoch=True)
