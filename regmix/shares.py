"""A share of images, with its interval."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Share:
    """`hits` of `count` images."""

    hits: int
    count: int

    @property
    def value(self) -> float:
        """The share itself, in [0, 1]."""
        return self.hits / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """The Wilson score interval (Wilson, 1927) at 95 %."""
        z, n, p = 1.959964, self.count, self.value
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)
