"""The final judgement of a model on test data: strong attacks, one table, intervals."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from regmix.autoattack import autoattack
from regmix.evaluate import Objective, correct, pgd, random_start
from regmix.shares import Share

Attack = Callable[[Tensor, Tensor, Tensor], Tensor]  # images, labels, start -> survived


def judge(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    seed: int,
    with_autoattack: bool = False,
    batch_size: int = 500,
) -> Iterator[tuple[str, Share]]:
    """Yield each attack's name and the share of images that are right under it.

    Every attack starts from all images that are right when clean, so that rows can be compared;
    the last row is the worst case: the share that survives every attack above it.

    Args:
        model: images in [0, 1] to logits, in eval mode.
        images, labels: (N, C, H, W) in [0, 1] and (N,), on the model's device.
        epsilon: radius, pixels in [0, 1].
        seed: of the attacks' random starts.
        with_autoattack: also run AutoAttack, which costs about fifty times the rest.
        batch_size: images at once; changes speed and memory only.
    """
    batches = torch.arange(len(images), device=images.device).split(batch_size)
    alive = torch.cat([correct(model, images[b], labels[b]) for b in batches])
    clean, start = alive.clone(), random_start(images, epsilon, seed)
    yield "clean", Share(int(clean.sum()), len(images))
    for name, attack in _attacks(model, epsilon).items():
        survived = torch.zeros_like(alive)
        for batch in batches:
            keep = batch[clean[batch]]
            survived[keep] = attack(images[keep], labels[keep], start[keep])
        alive &= survived
        yield name, Share(int(survived.sum()), len(images))
    if with_autoattack and clean.any():
        survived = torch.zeros_like(alive)
        survived[clean] = autoattack(
            model, images[clean], labels[clean], epsilon=epsilon, seed=seed, batch_size=batch_size
        )
        alive &= survived
        yield "AutoAttack", Share(int(survived.sum()), len(images))
    yield "worst case", Share(int(alive.sum()), len(images))


def _attacks(model: nn.Module, epsilon: float) -> dict[str, Attack]:
    """Return FGSM with a full step, and PGD of step epsilon / 4 (2/255 at 8/255)."""

    def run(
        images: Tensor,
        labels: Tensor,
        start: Tensor,
        *,
        steps: int,
        objective: Objective = "cross_entropy",
    ) -> Tensor:
        return pgd(
            model,
            images,
            labels,
            start,
            epsilon=epsilon,
            step=epsilon / 4,
            steps=steps,
            objective=objective,
        )[0]

    def fgsm(images: Tensor, labels: Tensor, start: Tensor) -> Tensor:
        zero = torch.zeros_like(start)
        return pgd(model, images, labels, zero, epsilon=epsilon, step=epsilon, steps=1)[0]

    return {
        "FGSM": fgsm,
        "PGD-20": partial(run, steps=20),
        "PGD-50": partial(run, steps=50),
        "PGD-20 on the margin": partial(run, steps=20, objective="margin"),
    }
