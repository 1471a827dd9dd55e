"""Tree-structured Parzen estimators on complete trials (Bergstra et al., NeurIPS 2011)."""

import optuna
from optuna.samplers import BaseSampler

from pipeline.samplers import SamplerContext


def tpe(context: SamplerContext) -> BaseSampler:
    """Build Optuna's TPE; trials under way count as bad ones, so that parallel ones differ."""
    return optuna.samplers.TPESampler(seed=context.seed, constant_liar=True)
