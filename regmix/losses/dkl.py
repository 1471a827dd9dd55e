"""Decoupled KL: TRADES with its divergence in two halves, each with a weight of its own."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from regmix.interfaces import LossInputs
from regmix.losses._divergence import widened
from regmix.ranges import NonNegative


def dkl(
    final: Tensor,
    initial: Tensor,  # noqa: ARG001
    clean: Tensor | None,
    target: Tensor,
    *,
    dkl_mse_weight: NonNegative = 6.0,
    dkl_ce_weight: NonNegative = 6.0,
    mse_flow: Literal["clean", "both"] = "clean",
) -> Tensor:
    """Return CE(c, y) + dkl_mse_weight * wMSE(c, f) + dkl_ce_weight * CE(sg(p), f).

        wMSE(c, f) = 1/4 sum_jk sg(p_j p_k) ((c_j - c_k) - (f_j - f_k))^2

    c and f are logits on the clean image and at the final perturbation, p = softmax(c), and sg
    stops the gradient. Cui et al., NeurIPS 2024 (arXiv 2305.13948), theorem 1: with the flow
    `clean` and both weights w the gradient is that of `trades` with weight w, whose default is
    ours; the loss itself is larger, because the entropy of p is counted in. The paper's
    class-wise weights (p averaged over a class, the other half of its "improved" form) are left
    out: they need statistics of the whole training set.

    Args:
        final: (N, K) logits at the final perturbation.
        initial: unused.
        clean: (N, K) logits on the clean images.
        target: (N, K) class probabilities, the smoothed label.
        dkl_mse_weight: weight of the squared gaps, at least 0; they train the clean output.
        dkl_ce_weight: weight of the cross-entropy, at least 0; it trains the final output.
        mse_flow: `clean` stops the gradient of the squared gaps at the final output, as the KL
            divergence does; `both` lets it through, so that they train the final output too.

    Returns:
        () the mean over the batch, in fp32 or wider.
    """
    assert clean is not None, "inputs() asked for the clean output"
    final, clean = widened(final), widened(clean)
    probability = clean.softmax(1).detach()
    loss = F.cross_entropy(clean, target.to(clean.dtype))
    if dkl_mse_weight:
        other = final.detach() if mse_flow == "clean" else final
        loss = loss + dkl_mse_weight * _gaps(probability, clean - other).mean()
    if dkl_ce_weight:
        loss = loss + dkl_ce_weight * F.cross_entropy(final, probability)
    return loss


def _gaps(probability: Tensor, difference: Tensor) -> Tensor:
    """Return 1/4 sum_jk p_j p_k (a_j - a_k)^2 of each image, (N,), without the K x K gaps.

    It is half the variance of a under p; taken about the mean, it can't become negative by
    cancellation, as half of sum p a^2 - (sum p a)^2 would where a is large.
    """
    mean = (probability * difference).sum(1, keepdim=True)
    return (probability * (difference - mean).square()).sum(1) / 2


def inputs(*, dkl_mse_weight: float, dkl_ce_weight: float, mse_flow: str) -> LossInputs:  # noqa: ARG001
    """Return that the clean output is used, whatever the weights: it is what is fitted."""
    return LossInputs(initial=False, clean=True)
