"""Levels of evaluation between an epoch's ensemble and AutoAttack, each for the survivors."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.autoattack import apgd, square
from regmix.evaluation.masking import masking
from regmix.evaluation.pgd_ensemble import Validation
from regmix.evaluation.results import FinalEvaluation, pack
from regmix.progress import Phase, Progress, unheard

_SIGNS = "signs of masking"


def evaluate_trial(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    start: Tensor,
    known: Validation,
    settings: AttackSettings,
    progress: Progress = unheard,
) -> FinalEvaluation:
    """Evaluate at the end of a trial: APGD-CE with 20 steps, APGD-T with 20 towards 3 classes.

    Args:
        model: network from pixels in [0, 1] to logits, in eval mode.
        images, labels, start: (N, C, H, W), (N,) and (N, C, H, W), as `validate` had them.
        known: result of `validate` for them; only its survivors are attacked again.
        settings: radius, seed and batch size of the attacks.
        progress: hears of each attack.
    """
    alive = after_apgd(
        model,
        images,
        labels,
        known.robust_mask,
        settings,
        steps=20,
        targets=3,
        progress=progress,
        of=3,
    )
    progress(Phase("judging", 3, 3, _SIGNS))
    signs = masking(model, images, labels, start, known, settings)
    return FinalEvaluation(int(alive.sum()), len(images), signs, pack(alive.tolist()))


def evaluate_finalist(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    start: Tensor,
    known: Validation,
    settings: AttackSettings,
    progress: Progress = unheard,
) -> FinalEvaluation:
    """Evaluate one of the few best: APGD-CE with 100 steps, APGD-T with 100 towards 9 classes.

    These two are AutoAttack's first two, which find nearly all that it finds at a fifth of its
    cost. Square with 1,000 queries then attacks what is left, and counts as a sign of masking
    where it finds more. Takes what `evaluate_trial` takes.
    """
    alive = after_apgd(
        model,
        images,
        labels,
        known.robust_mask,
        settings,
        steps=100,
        targets=9,
        progress=progress,
        of=4,
    )
    left = alive.clone()
    progress(Phase("judging", 3, 4, "Square"))
    left[alive] = square(model, images[alive], labels[alive], settings, queries=1000)
    progress(Phase("judging", 4, 4, _SIGNS))
    signs = masking(model, images, labels, start, known, settings)
    more = int((alive & ~left).sum()) / len(images)
    signs = replace(signs, without_gradient=more)
    return FinalEvaluation(int(left.sum()), len(images), signs, pack(left.tolist()))


def after_apgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    alive: Tensor,
    settings: AttackSettings,
    *,
    steps: int,
    targets: int,
    progress: Progress = unheard,
    of: int = 2,
) -> Tensor:
    """Return (N,) bool: which images of `alive` survive APGD-CE and then APGD-T.

    Args:
        model: network from pixels in [0, 1] to logits, in eval mode.
        images, labels: (N, C, H, W) and (N,).
        alive: (N,) bool, the images that are attacked.
        settings: radius, seed and batch size of both attacks.
        steps: number of steps of APGD-CE, and of APGD-T for each target.
        targets: number of wrong classes that APGD-T aims at.
        progress: hears of both attacks.
        of: number of attacks that it is told of, these two among them.
    """
    alive = alive.clone()
    for place, (name, towards) in enumerate((("APGD-CE", 0), ("APGD-T", targets)), start=1):
        progress(Phase("judging", place, of, name))
        keep = alive.nonzero().squeeze(1)
        alive[keep] = apgd(
            model, images[keep], labels[keep], settings, steps=steps, targets=towards
        )
    assert alive.dtype == torch.bool
    return alive
