"""What the trainer exchanges with losses and attacks."""

from typing import NamedTuple

from torch import Tensor


class AttackResult(NamedTuple):
    """A final perturbation and what was seen on the way to it."""

    perturbation: Tensor  # (N, C, H, W) within its reach and the pixel box, detached
    initial: Tensor  # (N, K) logits at the start, with graph where it was asked for
    gradient: Tensor  # (N, C, H, W) of the attack's loss at the start, detached


class PerturbationRadius(NamedTuple):
    """Radii of the L-inf balls that an attack works in, pixels in [0, 1]."""

    start: float  # in which a random start is drawn
    final: float  # which the final perturbation never leaves


class LossInputs(NamedTuple):
    """True where gradient must flow through that output; what is unused is not computed."""

    initial: bool  # at the starting perturbation; without it the attack's graph is dropped
    clean: bool  # at the image itself; without it that forward pass is saved
