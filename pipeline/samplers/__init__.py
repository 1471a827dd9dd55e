"""Samplers, one per file: file name = function name = name on the command line.

Each function takes a `SamplerContext` and returns an Optuna sampler. It is called anew for every
trial: one random stream for the whole study would start again whenever a killed search goes on,
and propose its first trials a second time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from optuna.samplers import BaseSampler

from pipeline.problem.space import SearchSpace
from pipeline.samplers._derived import DerivedSampler, with_both_accuracies
from pipeline.samplers._resuming import ResumingSampler
from pipeline.study.contracts import SamplerFactory
from regmix import registry
from regmix.errors import InputError
from regmix.signature import Contract

KIND = "sampler"
EPOCHWISE = ("freeze", "bohb")
"""Samplers that learn from epochs, which have one value: for a front TPE stands in for them."""
registry.add_kind(KIND, Path(__file__).parent, __name__, Contract(("context",)))


@dataclass(frozen=True)
class SamplerContext:
    """What a sampler is built for.

    seed: seed of this trial's random stream, which follows from the study's and the number.
    study_seed: seed of the study, the same for all of its trials.
    space: ranges of the parameters.
    """

    seed: int
    study_seed: int
    space: SearchSpace


def names() -> tuple[str, ...]:
    """Return the samplers that there are, those of plug-ins too."""
    return registry.names(KIND)


def check_name(name: str) -> None:
    """Raise InputError where there is no such sampler."""
    if name not in names():
        raise registry.unknown_variant("command line", KIND, name)


def factory(name: str, seed: int, space: SearchSpace, *, front: bool = False) -> SamplerFactory:
    """Return what builds the sampler of each trial.

    Args:
        name: name of the sampler.
        seed: seed of the study.
        space: ranges of the parameters.
        front: whether the front of robust and clean accuracy is sought.

    Raises:
        InputError: where there is no such sampler.
    """
    if front and name in EPOCHWISE:
        name = "tpe"
    check_name(name)
    make: Callable[[SamplerContext], BaseSampler] = registry.find(KIND, name)

    def build(number: int) -> BaseSampler:
        stream = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        context = SamplerContext(stream, seed, space)
        sampler = registry.built(KIND, name, lambda: make(context))
        if not isinstance(sampler, BaseSampler):
            raise InputError(
                f"--sampler {name}: must return one of Optuna's samplers, but returns "
                f"{type(sampler).__name__}; correct the plug-in"
            )
        return ResumingSampler(DerivedSampler(sampler, with_both_accuracies) if front else sampler)

    return build
