"""What an attack in training gives back, and how far it goes."""

from typing import NamedTuple

from torch import Tensor


class Attacked(NamedTuple):
    """A final perturbation and what was seen on the way to it."""

    perturbation: Tensor  # (N, C, H, W) within its reach and the pixel box, detached
    initial: Tensor  # (N, K) logits at the start, with graph where it was asked for
    gradient: Tensor  # (N, C, H, W) of the attack's loss at the start, detached


class Reach(NamedTuple):
    """Radii of the L-inf balls that an attack works in, pixels in [0, 1]."""

    start: float  # in which a random start is drawn
    final: float  # which the final perturbation never leaves
