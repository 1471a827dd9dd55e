"""TRADES: fit the clean image, and keep the attacked output near the clean one."""

from torch import Tensor
from torch.nn import functional as F

from regmix.interfaces import LossInputs
from regmix.losses._divergence import kl
from regmix.ranges import NonNegative


def trades(
    final: Tensor,
    initial: Tensor,  # noqa: ARG001
    clean: Tensor | None,
    target: Tensor,
    *,
    trades_weight: NonNegative = 6.0,
) -> Tensor:
    """Return CE(c, y) + trades_weight * KL(c || f) over the softmax outputs c and f.

    Zhang et al., ICML 2019, eq. 5: weight 6 (1 / lambda there) on CIFAR-10; as in the published
    code, gradient flows through both sides. The paper attacks the divergence, in eval mode;
    here the final point is whatever the chosen attack finds.

    Args:
        final: (N, K) logits at the final perturbation.
        initial: unused.
        clean: (N, K) logits on the clean images.
        target: (N, K) class probabilities, the smoothed label.
        trades_weight: weight of the divergence, at least 0; at 0 the attack has no effect.

    Returns:
        () the mean over the batch.
    """
    assert clean is not None, "inputs() asked for the clean output"
    loss = F.cross_entropy(clean, target)
    return loss + trades_weight * kl(clean, final)


def inputs(*, trades_weight: float) -> LossInputs:  # noqa: ARG001
    """Return that the clean output is used, whatever the weight: it is what is fitted."""
    return LossInputs(initial=False, clean=True)
