"""Several signed gradient steps with a projection after each: PGD, the multi-step baseline."""

from torch import Tensor, nn

from regmix.attacks.fgsm import fgsm
from regmix.interfaces import AttackResult, PerturbationRadius
from regmix.ranges import Count, NonNegative


def pgd(
    model: nn.Module,
    images: Tensor,
    start: Tensor,
    target: Tensor,
    *,
    epsilon: float,
    keep_graph: bool,
    steps: Count = 10,
    step_ratio: NonNegative = 0.25,
) -> AttackResult:
    """Take `steps` steps of `fgsm`, each from where the last one ended.

    Madry et al., ICLR 2018: 10 steps of 2/255 at 8/255, from uniform noise
    (`initialization: random`). Costs `steps` forward and backward passes, and in train mode BN
    sees each of these points. One step is `fgsm`.

    Args:
        model: network from images to logits, in the mode that it is attacked in.
        images: (N, C, H, W), pixels in [0, 1].
        start: (N, C, H, W) initial perturbation.
        target: (N, K) class probabilities.
        epsilon: radius of the ball, pixels in [0, 1].
        keep_graph: whether the initial logits keep their graph, for a loss that uses them.
        steps: number of steps.
        step_ratio: length of each step over epsilon.

    Returns:
        The final perturbation, with the logits and the gradient at the start.
    """
    how = {"epsilon": epsilon, "step_ratio": step_ratio}
    first = fgsm(model, images, start, target, keep_graph=keep_graph, **how)
    perturbation = first.perturbation
    for _ in range(steps - 1):
        attacked = fgsm(model, images, perturbation, target, keep_graph=False, **how)
        perturbation = attacked.perturbation
    return first._replace(perturbation=perturbation)


def radius(*, epsilon: float, **_: object) -> PerturbationRadius:
    """Return that start and end lie in the ball of `epsilon`."""
    return PerturbationRadius(start=epsilon, final=epsilon)
