"""What all attacks of one evaluation have in common."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AttackSettings:
    """Radius, randomness and batches; how long an attack searches is its own parameter."""

    epsilon: float  # radius of the L-inf ball, pixels in [0, 1]
    seed: int  # of the random starts
    batch_size: int = 500  # number of images at once; halved where memory runs out
