"""The penalty of FGSM-PGI and FGSM-PGK: a squared gap between initial and final logits."""

from torch import Tensor
from torch.nn import functional as F

from regmix.interfaces import LossInputs
from regmix.ranges import NonNegative


def mse(
    final: Tensor,
    initial: Tensor,
    clean: Tensor | None,  # noqa: ARG001
    target: Tensor,
    *,
    mse_weight: NonNegative = 10.0,
) -> Tensor:
    """Return CE(f, y) + mse_weight * mean_{n,k} (f_nk - i_nk)^2 over logits f and i.

    Jia et al., ECCV 2022 (FGSM-MEP): weight 10; FGSM-PGK: 5.6 on CIFAR-10, 1 on CIFAR-100.

    Args:
        final: (N, K) logits at the final perturbation.
        initial: (N, K) logits at the initial perturbation; gradient flows through both.
        clean: unused.
        target: (N, K) class probabilities, the smoothed label.
        mse_weight: weight, at least 0, lambda in the papers; the mean is over all N * K logits.

    Returns:
        () the mean over the batch.
    """
    loss = F.cross_entropy(final, target)
    if mse_weight:
        loss = loss + mse_weight * F.mse_loss(final, initial)
    return loss


def inputs(*, mse_weight: float) -> LossInputs:
    """Return which outputs this weight uses."""
    return LossInputs(initial=mse_weight > 0, clean=False)
