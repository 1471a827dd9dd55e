"""What an attack does to networks, image by image and over the radius, to be drawn; no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regmix.images import Images

STEPS = 20
"""Steps of each PGD, whose lengths fall from the radius to near 0."""
ATTACK = f"PGD-{STEPS} on cross-entropy, then on the margin"
"""The attack in words."""


@dataclass(frozen=True, eq=False)  # arrays have no single answer to ==
class AttackView:
    """A network under one attack, of N images at E radii, with R of the images to be shown."""

    epsilons: tuple[float, ...]  # ascending; the first is 0, no attack
    survived: NDArray[np.bool_]  # (E, N) correct at this radius and at all smaller ones
    perturbations: NDArray[np.float32]  # (R, C, H, W) at the main radius; 0 where none was needed
    before: NDArray[np.float32]  # (R, K) probabilities on the image itself
    after: NDArray[np.float32]  # (R, K) and on the attacked one


@dataclass(frozen=True, eq=False)
class AttackPicture:
    """All that is drawn.

    views: name of each network, at most two -> what the attack does to it.
    images: the N images that were attacked; shown: places of those R that are drawn.
    """

    views: Mapping[str, AttackView]
    images: Images
    shown: Sequence[int]
    epsilon: float  # the main radius, pixels in [0, 1]
    data: str  # name of the data set
    seed: int  # of the attack
