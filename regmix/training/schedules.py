"""Learning rate over a run, as a factor of its base, for a share of the run in [0, 1)."""

import math
from collections.abc import Callable


def multistep(progress: float) -> float:
    """Divide by 10 at 100/110 and again at 105/110, as FGSM-PGI and FGSM-PGK do."""
    return 1.0 if progress < 100 / 110 else 0.1 if progress < 105 / 110 else 0.01


def cosine(progress: float) -> float:
    """Fall from 1 to 0 along half a cosine."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def linear(progress: float) -> float:
    """Rise from 0 over the first fifth, then fall to 0: one cycle."""
    return progress / 0.2 if progress < 0.2 else (1 - progress) / 0.8


def trapezoid(progress: float) -> float:
    """Stay at 1, then fall to 0 over the last three tenths."""
    return min(1.0, (1 - progress) / 0.3)


def constant(progress: float) -> float:  # noqa: ARG001
    """Stay at 1."""
    return 1.0


SCHEDULES: dict[str, Callable[[float], float]] = {
    "multistep": multistep,
    "cosine": cosine,
    "linear": linear,
    "trapezoid": trapezoid,
    "constant": constant,
}
