"""What an evaluation found: proportions with intervals, survivors, signs of gradient masking."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Proportion:
    """A number of images out of all of them."""

    hits: int  # number of images that the proportion counts, such as survivors
    count: int  # number of all images, at least 1

    @property
    def value(self) -> float:
        """Share of the images, in [0, 1]."""
        return self.hits / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """The Wilson score interval (Wilson, 1927) at 95 %."""
        z, n, p = 1.959964, self.count, self.value
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)


# What may be found at most, and what it means when there is more (Carlini et al.,
# arXiv 1902.06705; RobustBench's conditions; limits from public logs of sound models).
_LIMITS = {
    "more_steps": (0.015, "{longer} of PGD fool {:.3f} more than the epochs' {steps}"),
    "single_step": (0.2, "PGD fools {:.3f} more than one step does: overfitted to single steps"),
    "objectives": (0.08, "PGD on cross-entropy and on the margin differ by {:.3f}"),
    "without_gradient": (0.002, "Square, which needs no gradient, fools {:.3f} more"),
    "large_epsilon": (0.05, "at four times epsilon {:.3f} survive, where none should"),
    "zero_gradient": (0.01, "the gradient of {:.3f} of the images is exactly zero"),
    "not_logits": (0.0, "the outputs are probabilities, so losses on logits mislead"),
    "random": (1e-4, "two passes over the same images differ by up to {:.3g}"),
    "half_precision": (0.0, "weights are not fp32, so small gradients are lost"),
}
_SHARES = frozenset({"more_steps", "single_step", "objectives", "without_gradient"}) | {
    *("large_epsilon", "zero_gradient")
}
LEAST = 4
"""Images that a sign needs at least. Where a limit is less than one image, a sound model at the
limit has as many by chance as a Poisson number of mean 1 at most, which is 4 or more in 1.9 % of
cases, but 1 or more in 63 %."""
FEW = 67
"""Images below which one of them would exceed the limit of `more_steps`."""
FEWEST_TARGETED = 4
"""Classes that the targeted losses of APGD-T and FAB-T need: they compare with the fourth."""


@dataclass(frozen=True)
class Masking:
    """Signs of gradient masking; shares of the images, in [0, 1], unless said otherwise."""

    more_steps: float  # (a) accuracy under the epochs' PGD minus that under 50 steps, at least 0
    single_step: float  # (b) under FGSM minus under PGD
    objectives: float  # (c) between PGD on cross-entropy and PGD on the margin, either way
    large_epsilon: float  # (e) at four times the radius
    zero_gradient: float  # (f) correct, and the loss has no gradient there
    not_logits: bool  # (f)
    random: float  # (f) largest difference of a logit between two passes
    half_precision: bool  # (f)
    without_gradient: float | None = None  # (d) what Square found more; of finalists alone

    def flags(self, count: int, steps: int) -> tuple[str, ...]:
        """Return a sentence for each sign.

        Args:
            count: number of images that the shares are of.
            steps: number of steps of the epochs' PGD.
        """
        found = {name: value for name, value in asdict(self).items() if value is not None}
        words = {"steps": _steps(steps), "longer": _steps(longer(steps))}
        return tuple(
            sentence.format(found[name], **words)
            for name, (limit, sentence) in _LIMITS.items()
            if _exceeds(found.get(name, 0), limit, count if name in _SHARES else None)
        )


def longer(steps: int) -> int:
    """Return the steps of the PGD that shows whether one of `steps` has converged."""
    return max(50, 2 * steps)


def _steps(count: int) -> str:
    return f"{count} step{'s' if count > 1 else ''}"


def _exceeds(value: float, limit: float, count: int | None) -> bool:
    """Return whether a limit is exceeded, by enough images where the value is a share of them."""
    if not math.isfinite(value):
        return True  # what is no number is never no sign
    return value > limit and (count is None or round(value * count) >= LEAST)


def apgd_name(steps: int, targets: int, classes: int) -> str:
    """Return what APGD-CE and APGD-T did, in words, such as 'APGD-20, 3 targets'.

    Args:
        steps: number of steps of each.
        targets: number of wrong classes that APGD-T was to aim at.
        classes: number of classes; with fewer than 4 there is no APGD-T.
    """
    return f"APGD-{steps}" + (
        f", {min(targets, classes - 1)} targets" if classes >= FEWEST_TARGETED else ""
    )


def pack(survived: Sequence[bool]) -> str:
    """Return a hexadecimal number with a bit for each image, the first image's the highest.

    Args:
        survived: one truth value for each image.
    """
    bits = "".join("1" if one else "0" for one in survived)
    return f"{int(bits, 2):0{-(-len(bits) // 4)}x}" if bits else ""


def unpack(packed: str, count: int) -> list[bool]:
    """Return what `pack` was given.

    Args:
        packed: hexadecimal number that `pack` returned.
        count: number of images.
    """
    return [bit == "1" for bit in f"{int(packed, 16):0{count}b}"]


@dataclass(frozen=True)
class FinalEvaluation:
    """Result of a level above the epochs' ensemble, with what makes it doubtful."""

    hits: int  # number of images that survive every attack
    count: int  # number of all images
    masking: Masking
    survivors: str = ""  # a bit for each image, as `pack` writes them

    @property
    def robust(self) -> float:
        """Share that survives, in [0, 1]."""
        return self.hits / self.count

    def flags(self, steps: int) -> tuple[str, ...]:
        """Return a sentence for each sign of masking; `steps` are those of the epochs' PGD."""
        return self.masking.flags(self.count, steps)

    @property
    def share(self) -> Proportion:
        """The same share with its interval."""
        return Proportion(self.hits, self.count)

    @property
    def consistent(self) -> bool:
        """Whether `survivors`, where it is known, has a bit for each of `hits` of `count`."""
        if not self.survivors:
            return self.hits <= self.count
        try:
            bits = int(self.survivors, 16)
        except ValueError:
            return False
        return bits.bit_count() == self.hits <= self.count and not bits >> self.count

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FinalEvaluation":
        """Return what `dataclasses.asdict` was given."""
        return cls(**{**values, "masking": Masking(**values["masking"])})
