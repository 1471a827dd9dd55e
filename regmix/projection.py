"""The set that perturbations live in: an L-inf ball, cut by the pixel box [0, 1]."""

import torch
from torch import Tensor


def project(perturbation: Tensor, images: Tensor, epsilon: float) -> Tensor:
    """Return the nearest perturbation in the ball for which images + perturbation is in [0, 1].

    Args:
        perturbation, images: (N, C, H, W), pixels; those of the images in [0, 1].
        epsilon: radius of the ball, pixels in [0, 1].
    """
    inside = perturbation.clamp(-epsilon, epsilon)
    return torch.clamp(inside, min=-images, max=1 - images)
