"""Two trainings on the same images: how far they differ, and how certain that is.

What makes an image hard for all cancels, so only images count on which the two disagree.
"""

import math
from dataclasses import dataclass

from regmix.evaluation.results import FinalEvaluation


@dataclass(frozen=True)
class PairedDifference:
    """How many images survive one of two trainings alone.

    gained: number of images that survive the first alone.
    lost: number of images that survive the second alone.
    count: number of all images, at least 1.
    """

    gained: int
    lost: int
    count: int

    @property
    def value(self) -> float:
        """Share of the first minus share of the second, in [-1, 1]."""
        return (self.gained - self.lost) / self.count

    @property
    def variance(self) -> float:
        """Variance of the value over draws of images."""
        disagreement = (self.gained + self.lost) / self.count
        return (disagreement - self.value**2) / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """Interval at 95 %: adjusted Wald (Bonett and Price, 2012).

        Either number of images that survive one alone is taken to be larger by one.
        """
        z, n = 1.959964, self.count + 2
        first, second = (self.gained + 1) / n, (self.lost + 1) / n
        centre = first - second
        half = z * math.sqrt((first + second - centre**2) / n)
        return max(-1.0, centre - half), min(1.0, centre + half)

    @property
    def p_value(self) -> float:
        """The exact test of McNemar (1947), two-sided: a coin for each image that differs."""
        differ, least = self.gained + self.lost, min(self.gained, self.lost)
        tail = sum(math.comb(differ, k) for k in range(least + 1))
        return min(1.0, 2 * tail / (1 << differ))


def paired(one: FinalEvaluation, other: FinalEvaluation) -> PairedDifference | None:
    """Return the difference of two evaluations; None where it isn't known which images survive.

    Where one has more images, the first ones are those of the other, and the rest is left out.
    """
    if not one.survivors or not other.survivors:
        return None
    count = min(one.count, other.count)
    first, second = (int(e.survivors, 16) >> (e.count - count) for e in (one, other))
    return PairedDifference((first & ~second).bit_count(), (second & ~first).bit_count(), count)
