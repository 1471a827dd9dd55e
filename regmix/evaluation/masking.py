"""Looking for signs of gradient masking, where a model hides its gradients from attacks."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.batching import among
from regmix.evaluation.pgd_ensemble import Objective, StepSchedule, Validation, first_step, pgd
from regmix.evaluation.results import Masking
from regmix.evaluation.results import longer as longer_steps
from regmix.finite import Finite, finite


def masking(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    start: Tensor,
    known: Validation,
    settings: AttackSettings,
) -> Masking:
    """Look for signs of masking by what `validate` does not run; costs about as much as it.

    Args:
        model: network from pixels in [0, 1] to logits, in eval mode.
        images, labels, start: (N, C, H, W), (N,) and (N, C, H, W), as `validate` had them.
        known: result of `validate` for them.
        settings: radius, as `validate` had it, and batch size; the seed is not used.

    Raises:
        NonFiniteError: where logits or gradients are NaN or infinite.
    """
    model = Finite(model)
    epsilon, batch_size = settings.epsilon, settings.batch_size

    def survivors(
        some: Tensor,
        *,
        steps: int,
        objective: Objective = "cross_entropy",
        radius: float = epsilon,
        step: float = epsilon / 4,
        schedule: StepSchedule = "constant",
    ) -> Tensor:
        """Return which images of `some` (N,) bool survive a PGD."""

        def run(part: Tensor) -> Tensor:
            x, y, noise = images[part], labels[part], start[part]
            attack = partial(pgd, epsilon=radius, step=step, steps=steps, schedule=schedule)
            return attack(model, x, y, noise, objective=objective)[0]

        return among(run, some, batch_size)

    count = len(images)
    by_margin = known.robust_mask | survivors(
        known.clean_mask & ~known.pgd_mask,
        steps=known.steps,
        objective="margin",
        step=first_step(epsilon, known.schedule),
        schedule=known.schedule,
    )
    # of all, not of the epoch's survivors: steps of other lengths find others by chance
    longer = survivors(known.clean_mask, steps=longer_steps(known.steps))
    still = among(
        lambda i: _zero_gradient(model, images[i], labels[i]), known.clean_mask, batch_size
    )
    larger = survivors(known.robust_mask, steps=10, radius=4 * epsilon, step=epsilon)
    with torch.no_grad():
        logits, again = (model(images[:batch_size]) for _ in range(2))
    sums = logits.sum(1)
    return Masking(
        more_steps=max(0, int(known.pgd_mask.sum()) - int(longer.sum())) / count,
        single_step=known.fgsm - known.pgd,
        objectives=abs(int(known.pgd_mask.sum()) - int(by_margin.sum())) / count,
        large_epsilon=int(larger.sum()) / count,
        zero_gradient=int(still.sum()) / count,
        not_logits=bool((logits >= 0).all() and torch.allclose(sums, torch.ones_like(sums))),
        random=float((logits - again).abs().max()),
        half_precision=any(_is_narrow(weight) for weight in model.parameters()),
    )


def _is_narrow(weight: Tensor) -> bool:
    return weight.is_floating_point() and weight.dtype.itemsize < 4


def _zero_gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return (N,) bool, True where the loss has no gradient at all."""
    point = images.clone().requires_grad_()
    loss = F.cross_entropy(model(point), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, point)
    finite(gradient, "gradients of the images")
    return gradient.flatten(1).abs().amax(1) == 0
