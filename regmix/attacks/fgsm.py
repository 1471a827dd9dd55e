"""One signed gradient step from a given start: FGSM, prior-guided where there is a memory."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regmix.interfaces import AttackResult, PerturbationRadius
from regmix.projection import project
from regmix.ranges import NonNegative


def fgsm(
    model: nn.Module,
    images: Tensor,
    start: Tensor,
    target: Tensor,
    *,
    epsilon: float,
    keep_graph: bool,
    step_ratio: NonNegative = 1.0,
) -> AttackResult:
    """Step once from `start` along the sign of the loss's gradient, and project.

        d' = project(d + step_ratio * epsilon * sign(grad_d CE(f(x + d), y)))

    With a zero start this is FGSM-AT, with uniform noise FGSM-RS, with the memory's start the
    prior-guided step of FGSM-MEP (Jia et al., ECCV 2022), which RegMix builds on.

    Args:
        model: network from images to logits, in the mode that it is attacked in.
        images: (N, C, H, W), pixels in [0, 1].
        start: (N, C, H, W) initial perturbation.
        target: (N, K) class probabilities.
        epsilon: radius of the ball, pixels in [0, 1].
        keep_graph: whether the initial logits keep their graph, for a loss that uses them.
        step_ratio: step length over epsilon; above 2 it only invites catastrophic overfitting.

    Returns:
        The final perturbation, with the initial logits and the gradient on the way.
    """
    step = step_ratio * epsilon
    return signed_step(model, images, start, target, epsilon, step=step, keep_graph=keep_graph)


def signed_step(
    model: nn.Module,
    images: Tensor,
    start: Tensor,
    target: Tensor,
    radius: float,
    *,
    step: float,
    keep_graph: bool,
) -> AttackResult:
    """Do what `fgsm` says, with the ball's radius and the step's length in pixels."""
    point = start.detach().requires_grad_()
    initial = model(images + point).float()
    fit = F.cross_entropy(initial, target)
    (gradient,) = torch.autograd.grad(fit, point, retain_graph=keep_graph)
    final = project(start + step * gradient.sign(), images, radius)
    return AttackResult(final, initial if keep_graph else initial.detach(), gradient)


def radius(*, epsilon: float, **_: object) -> PerturbationRadius:
    """Return that start and end lie in the ball of `epsilon`."""
    return PerturbationRadius(start=epsilon, final=epsilon)
