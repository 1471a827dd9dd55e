"""What an attack in training gives back."""

from typing import NamedTuple

from torch import Tensor


class Attacked(NamedTuple):
    """A final perturbation and what was seen on the way to it."""

    perturbation: Tensor  # (N, C, H, W) in the ball and in the pixel box, detached
    initial: Tensor  # (N, K) logits at the start, with graph where it was asked for
    gradient: Tensor  # (N, C, H, W) of the attack's loss at the start, detached
