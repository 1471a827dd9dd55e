"""A network attacked at several radii, from the smallest to the largest."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regmix.evaluation.attack_view import STEPS, AttackView
from regmix.evaluation.pgd_ensemble import Objective, correct, pgd, random_start
from regmix.progress import Phase, Progress, unheard
from regmix.projection import project

_OBJECTIVES: tuple[Objective, ...] = ("cross_entropy", "margin")


def attack_view(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    shown: Sequence[int],
    *,
    epsilon: float,
    epsilons: Sequence[float],
    seed: int,
    batch_size: int = 500,
    progress: Progress = unheard,
) -> AttackView:
    """Attack a network at every radius, from the smallest to the largest.

    Every ball contains the smaller ones, so that an image which falls in one stays fallen: only
    those that are left are attacked further. At the main radius all are attacked anew, so that
    what is shown is of that radius wherever that attack succeeds.

    Args:
        model: network from pixels in [0, 1] to logits, in eval mode.
        images, labels: (N, C, H, W) and (N,) on the model's device.
        shown: R places among the images, which are to be shown.
        epsilon: the main radius of the L-inf ball, pixels in [0, 1].
        epsilons: further radii; 0 and the main one are added where they are missing.
        seed: seed of the random starts.
        batch_size: number of images at once.
        progress: told of the radius that is under way.

    Raises:
        NonFiniteError: where logits or gradients are NaN or infinite.
    """
    radii = tuple(sorted({0.0, epsilon, *epsilons}))
    parts = zip(images.split(batch_size), labels.split(batch_size), strict=True)
    alive = torch.cat([correct(model, part, own) for part, own in parts])
    worst, rows = torch.zeros_like(images), [alive]
    right = alive.clone()
    for place, radius in enumerate(radii[1:], start=1):
        progress(Phase("radius", place, len(radii) - 1))
        again = right if radius == epsilon else alive
        keep = again.nonzero().squeeze(1)
        start = random_start(images, radius, seed)
        for part in keep.split(batch_size):
            held, found = _attack(model, images[part], labels[part], start[part], radius)
            if radius <= epsilon:
                new = ~held | alive[part]
                worst[part[new]] = found[new]
            alive = alive.clone()
            alive[part] &= held
        rows.append(alive)
    index = torch.as_tensor(shown, device=images.device)
    some, moved = images[index], worst[index]
    return AttackView(
        radii,
        torch.stack(rows).cpu().numpy(),
        moved.cpu().numpy(),
        _probabilities(model, some),
        _probabilities(model, some + moved),
    )


def _attack(
    model: nn.Module, images: Tensor, labels: Tensor, start: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Return (N,) bool, which images survive both PGDs, and the perturbations (N, C, H, W)."""
    alive = torch.arange(len(images), device=images.device)
    survived, found = torch.zeros_like(labels, dtype=torch.bool), torch.zeros_like(images)
    for objective in _OBJECTIVES:
        held, moved = pgd(
            model,
            images[alive],
            labels[alive],
            start[alive],
            epsilon=epsilon,
            step=epsilon,
            steps=STEPS,
            schedule="falling",
            objective=objective,
        )
        found[alive] = project(moved, images[alive], epsilon)
        alive = alive[held]
    survived[alive] = True
    return survived, found


@torch.no_grad()
def _probabilities(model: nn.Module, images: Tensor) -> NDArray[np.float32]:
    found: NDArray[np.float32] = model(images).float().softmax(1).cpu().numpy()
    return found
