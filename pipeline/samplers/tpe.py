"""Tree-structured Parzen estimators on complete trials (Bergstra et al., NeurIPS 2011)."""

from optuna.samplers import BaseSampler

from pipeline.samplers import SamplerContext
from pipeline.samplers._parzen import ParzenSampler


def tpe(context: SamplerContext) -> BaseSampler:
    """Build Optuna's TPE; trials under way count as bad ones, so that parallel ones differ."""
    return ParzenSampler(context.seed, 10, together=True, at_common_epoch=False)
