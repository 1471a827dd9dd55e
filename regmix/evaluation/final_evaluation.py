"""The final judgement of a model on test data: strong attacks, one table, intervals."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from regmix.evaluation.apgd_levels import after_apgd
from regmix.evaluation.autoattack import autoattack
from regmix.evaluation.batching import batched
from regmix.evaluation.pgd_ensemble import correct, full_step, pgd, random_start
from regmix.evaluation.results import Proportion

Attack = Callable[[Tensor], Tensor]  # index of images (M,) -> (M,) bool, True where one survived


def evaluate_test(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    seed: int,
    with_autoattack: bool = False,
    batch_size: int = 500,
) -> Iterator[tuple[str, Proportion]]:
    """Yield each attack's name and the share of images that are right under it.

    Every attack starts from all images that are right when clean, so that rows can be compared;
    the last row is the worst case: the share that survives every attack above it.

    Args:
        model: images in [0, 1] to logits, in eval mode.
        images, labels: (N, C, H, W) in [0, 1] and (N,), on the model's device.
        epsilon: radius, pixels in [0, 1].
        seed: of the attacks' random starts.
        with_autoattack: also run AutoAttack, which costs about thirty times the rest.
        batch_size: images at once; halved where memory runs out.
    """

    def among(some: Tensor, attack: Attack) -> Tensor:
        index = some.nonzero().squeeze(1)
        survived = torch.zeros_like(some)
        survived[index] = batched(attack, index, batch_size)
        return survived

    everything = torch.ones_like(labels, dtype=torch.bool)
    clean = among(everything, lambda part: correct(model, images[part], labels[part]))
    yield "clean", Proportion(int(clean.sum()), len(images))
    alive, how = clean.clone(), {"epsilon": epsilon, "seed": seed, "batch_size": batch_size}
    for name, attack in _attacks(model, images, labels, with_autoattack, **how).items():
        survived = among(clean, attack)
        alive &= survived
        yield name, Proportion(int(survived.sum()), len(images))
    yield "worst case", Proportion(int(alive.sum()), len(images))


def _attacks(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    with_autoattack: bool,
    *,
    epsilon: float,
    **how: Any,  # noqa: ANN401
) -> dict[str, Attack]:
    """Return FGSM with a full step, PGD of step epsilon / 4 (2/255 at 8/255), APGD, AutoAttack."""
    start = random_start(images, epsilon, how["seed"])

    def stepwise(part: Tensor, **options: Any) -> Tensor:  # noqa: ANN401
        given = images[part], labels[part], start[part]
        return pgd(model, *given, epsilon=epsilon, step=epsilon / 4, **options)[0]

    def adaptive(part: Tensor) -> Tensor:
        everyone = torch.ones_like(part, dtype=torch.bool)
        few = {"steps": 20, "targets": 3, "epsilon": epsilon, **how}
        return after_apgd(model, images[part], labels[part], everyone, **few)

    attacks: dict[str, Attack] = {
        "FGSM": lambda part: full_step(model, images[part], labels[part], epsilon=epsilon),
        "PGD-20": partial(stepwise, steps=20),
        "PGD-50": partial(stepwise, steps=50),
        "PGD-20 on the margin": partial(stepwise, steps=20, objective="margin"),
        "APGD-20, 3 targets": adaptive,
    }
    if with_autoattack:
        attacks["AutoAttack"] = lambda part: autoattack(
            model, images[part], labels[part], epsilon=epsilon, **how
        )
    return attacks
