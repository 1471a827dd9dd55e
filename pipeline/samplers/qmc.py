"""Sobol's sequence: points that fill the space evenly, whatever their number."""

from dataclasses import dataclass

from optuna.samplers import BaseSampler

from pipeline.samplers import SamplerContext
from pipeline.samplers._sequence import SequenceSampler


@dataclass(frozen=True)
class Sobol:
    """Sobol's sequence with Owen's scrambling: even in every number of trials."""

    dimensions: int
    seed: int

    def at(self, number: int) -> list[float]:
        """Return the point of a trial."""
        from scipy.stats import qmc

        sequence = qmc.Sobol(self.dimensions, scramble=True, rng=self.seed)
        if number:  # none is too few for it
            sequence.fast_forward(number)
        return [float(x) for x in sequence.random(1)[0]]


def qmc(context: SamplerContext) -> BaseSampler:
    """Walk through a scrambled Sobol sequence; trial N takes its point N."""
    ranges = context.space.ranges
    return SequenceSampler(Sobol(len(ranges), context.study_seed), ranges)
