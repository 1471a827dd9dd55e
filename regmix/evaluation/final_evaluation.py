"""The final evaluation of a model on test data: strong attacks, one table, intervals."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from regmix.evaluation.apgd_levels import after_apgd
from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.autoattack import autoattack, autoattack_name, width
from regmix.evaluation.batching import among
from regmix.evaluation.pgd_ensemble import Objective, correct, full_step, pgd, random_start
from regmix.evaluation.results import Proportion, apgd_name
from regmix.progress import Phase, Progress, unheard

Attack = Callable[[Tensor], Tensor]  # index of images (M,) -> (M,) bool, True where one survived


def evaluate_test(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    *,
    with_autoattack: bool = False,
    progress: Progress = unheard,
) -> Iterator[tuple[str, Proportion]]:
    """Yield each attack's name and the share of images that are correct under it.

    Every attack starts from all images that are correct when clean, so that rows can be compared;
    the last row is the worst case: the share that survives every attack above it.

    Args:
        model: network from pixels in [0, 1] to logits, in eval mode.
        images, labels: (N, C, H, W) in [0, 1] and (N,), on the model's device.
        settings: radius, seed and batch size of the attacks.
        with_autoattack: whether AutoAttack runs too, which costs about thirty times the rest.
        progress: hears of each attack, and of each part of AutoAttack.
    """
    everything, batch_size = torch.ones_like(labels, dtype=torch.bool), settings.batch_size
    clean = among(lambda part: correct(model, images[part], labels[part]), everything, batch_size)
    yield "clean", Proportion(int(clean.sum()), len(images))
    alive = clean.clone()
    attacks = _attacks(model, images, labels, settings, with_autoattack, progress)
    for place, (name, attack) in enumerate(attacks.items(), start=1):
        progress(Phase("attacking", place, len(attacks), name))
        survived = among(attack, clean, batch_size)
        alive &= survived
        yield name, Proportion(int(survived.sum()), len(images))
    yield "worst case", Proportion(int(alive.sum()), len(images))


def _attacks(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    with_autoattack: bool,
    progress: Progress,
) -> dict[str, Attack]:
    """Return FGSM with a full step, PGD of step epsilon / 4 (2/255 at 8/255), APGD, AutoAttack."""
    epsilon, classes = settings.epsilon, width(model, images)
    start = random_start(images, epsilon, settings.seed)

    def stepwise(part: Tensor, steps: int, objective: Objective = "cross_entropy") -> Tensor:
        return pgd(
            model,
            images[part],
            labels[part],
            start[part],
            epsilon=epsilon,
            step=epsilon / 4,
            steps=steps,
            objective=objective,
        )[0]

    def adaptive(part: Tensor) -> Tensor:
        everyone = torch.ones_like(part, dtype=torch.bool)
        return after_apgd(
            model, images[part], labels[part], everyone, settings, steps=20, targets=3
        )

    attacks: dict[str, Attack] = {
        "FGSM": lambda part: full_step(model, images[part], labels[part], epsilon=epsilon),
        "PGD-20": partial(stepwise, steps=20),
        "PGD-50": partial(stepwise, steps=50),
        "PGD-20 on the margin": partial(stepwise, steps=20, objective="margin"),
        apgd_name(20, 3, classes): adaptive,
    }
    if with_autoattack:
        attacks[autoattack_name(classes)] = lambda part: autoattack(
            model, images[part], labels[part], settings, progress
        )
    return attacks
