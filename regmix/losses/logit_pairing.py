"""Adversarial logit pairing: a squared gap between clean and final logits."""

from torch import Tensor
from torch.nn import functional as F

from regmix.interfaces import LossInputs
from regmix.ranges import NonNegative


def logit_pairing(
    final: Tensor,
    initial: Tensor,  # noqa: ARG001
    clean: Tensor | None,
    target: Tensor,
    *,
    pairing_weight: NonNegative = 0.5,
) -> Tensor:
    """Return CE(f, y) + pairing_weight * mean_{n,k} (c_nk - f_nk)^2 over logits c and f.

    Kannan, Kurakin and Goodfellow, arXiv 1803.06373, section 3: weight 0.5 on ImageNet. There
    the cross-entropy is that of a batch which is half clean; here the final point alone is
    fitted, so that weight 0 is plain adversarial training.

    Args:
        final: (N, K) logits at the final perturbation; gradient flows through both.
        initial: unused.
        clean: (N, K) logits on the clean images; may be None where the weight is 0.
        target: (N, K) class probabilities, the smoothed label.
        pairing_weight: weight, at least 0, lambda in the paper; the mean is over all N * K logits.

    Returns:
        () the mean over the batch.
    """
    loss = F.cross_entropy(final, target)
    if pairing_weight:
        assert clean is not None, "inputs() asked for the clean output"
        loss = loss + pairing_weight * F.mse_loss(final, clean)
    return loss


def inputs(*, pairing_weight: float) -> LossInputs:
    """Return which outputs this weight uses."""
    return LossInputs(initial=False, clean=pairing_weight > 0)
