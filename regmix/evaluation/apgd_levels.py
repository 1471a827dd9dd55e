"""Levels of judging between an epoch's ensemble and AutoAttack: each asks the survivors again."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from regmix.evaluation.autoattack import apgd, square
from regmix.evaluation.masking import masking
from regmix.evaluation.pgd_ensemble import Validation
from regmix.evaluation.results import FinalEvaluation, pack


def evaluate_trial(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    start: Tensor,
    known: Validation,
    *,
    epsilon: float,
    seed: int,
    batch_size: int = 500,
) -> FinalEvaluation:
    """Judge at the end of a trial: APGD-CE with 20 steps, APGD-T with 20 towards 3 classes.

    Args:
        model: images in [0, 1] to logits, in eval mode.
        images, labels, start: as `validate` had them.
        known: what `validate` returned for them; only its survivors are attacked again.
        epsilon: radius, pixels in [0, 1].
        seed: of the attacks' random starts.
        batch_size: images at once; halved where memory runs out.
    """
    how = {"epsilon": epsilon, "seed": seed, "batch_size": batch_size}
    alive = after_apgd(model, images, labels, known.robust_mask, steps=20, targets=3, **how)
    signs = masking(model, images, labels, start, known, epsilon=epsilon, batch_size=batch_size)
    return FinalEvaluation(int(alive.sum()), len(images), signs, pack(alive.tolist()))


def evaluate_finalist(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    start: Tensor,
    known: Validation,
    *,
    epsilon: float,
    seed: int,
    batch_size: int = 500,
) -> FinalEvaluation:
    """Judge one of the few best: APGD-CE with 100 steps, APGD-T with 100 towards 9 classes.

    These two are AutoAttack's first two, which find nearly all that it finds at a fifth of its
    cost. Square with 1,000 queries then asks what is left, and counts as a sign of masking where
    it finds more. Takes what `evaluate_trial` takes.
    """
    how = {"epsilon": epsilon, "seed": seed, "batch_size": batch_size}
    alive = after_apgd(model, images, labels, known.robust_mask, steps=100, targets=9, **how)
    left = alive.clone()
    left[alive] = square(model, images[alive], labels[alive], queries=1000, **how)  # type: ignore[arg-type]
    signs = masking(model, images, labels, start, known, epsilon=epsilon, batch_size=batch_size)
    more = int((alive & ~left).sum()) / len(images)
    signs = replace(signs, without_gradient=more)
    return FinalEvaluation(int(left.sum()), len(images), signs, pack(left.tolist()))


def after_apgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    alive: Tensor,
    *,
    steps: int,
    targets: int,
    **how: Any,  # noqa: ANN401
) -> Tensor:
    """Return (N,) bool: who of `alive` survives APGD-CE and then APGD-T."""
    alive = alive.clone()
    for towards in (0, targets):
        keep = alive.nonzero().squeeze(1)
        alive[keep] = apgd(model, images[keep], labels[keep], steps=steps, targets=towards, **how)
    assert alive.dtype == torch.bool
    return alive
