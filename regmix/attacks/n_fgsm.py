"""One signed step from noise that is wider than the ball, and no way back into it: N-FGSM."""

from torch import Tensor, nn

from regmix.attacks.fgsm import signed_step
from regmix.interfaces import AttackResult, PerturbationRadius
from regmix.ranges import NonNegative


def n_fgsm(
    model: nn.Module,
    images: Tensor,
    start: Tensor,
    target: Tensor,
    *,
    epsilon: float,
    keep_graph: bool,
    noise_ratio: NonNegative = 2.0,
    step_ratio: NonNegative = 1.0,
) -> AttackResult:
    """Step once from `start` along the sign of the loss's gradient, without a projection.

        d' = d + step_ratio * epsilon * sign(grad_d CE(f(x + d), y)),  d ~ U(-k epsilon, k epsilon)

    de Jorge et al., NeurIPS 2022, eq. 6: k = `noise_ratio` is 2, and the step is epsilon. It is
    theirs with `initialization: random`, whose noise is then drawn in k epsilon; a memory keeps
    to the ball of epsilon as it does for every attack. Only pixels are cut, to [0, 1].

    Args:
        model: network from images to logits, in the mode that it is attacked in.
        images: (N, C, H, W), pixels in [0, 1].
        start: (N, C, H, W) initial perturbation; what lies outside the noise's range can end
            no farther away than a step from it.
        target: (N, K) class probabilities.
        epsilon: radius that the noise and the step are measured by, pixels in [0, 1].
        keep_graph: whether the initial logits keep their graph, for a loss that uses them.
        noise_ratio: half width of the noise over epsilon.
        step_ratio: step length over epsilon.

    Returns:
        The final perturbation, with the initial logits and the gradient on the way.
    """
    # the ball that a step from the noise can't leave: for such starts the projection is idle
    widest = radius(epsilon=epsilon, noise_ratio=noise_ratio, step_ratio=step_ratio).final
    step = step_ratio * epsilon
    return signed_step(model, images, start, target, widest, step=step, keep_graph=keep_graph)


def radius(*, epsilon: float, noise_ratio: float, step_ratio: float) -> PerturbationRadius:
    """Return the noise's half width, and one step more."""
    return PerturbationRadius(
        start=noise_ratio * epsilon, final=(noise_ratio + step_ratio) * epsilon
    )
