"""Kullback-Leibler divergence between the softmax outputs of two sets of logits."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

Reduction = Literal["batchmean", "elementmean"]


def kl(first: Tensor, second: Tensor, reduction: Reduction = "batchmean") -> Tensor:
    """Return KL(p || q) with p = softmax(first) and q = softmax(second).

        mean over images of  sum_k p_k (log p_k - log q_k)

    Both sides stay in log space and in fp32 (or wider), so that saturated logits give neither
    NaN nor a lost gradient.

    Args:
        first, second: (N, K) logits; gradient flows into both.
        reduction: `batchmean` divides by N, the definition; `elementmean` by N * K, the habit
            of the method's authors, whose weights are therefore K times larger.

    Returns:
        () at least 0, up to rounding.
    """
    total = F.kl_div(_log_softmax(second), _log_softmax(first), reduction="sum", log_target=True)
    return total / (first.shape[0] if reduction == "batchmean" else first.numel())


def kl_each(first: Tensor, second: Tensor) -> Tensor:
    """Return KL(p || q) of each image, (N,), for a loss that weighs images differently."""
    log_p, log_q = _log_softmax(first), _log_softmax(second)
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(1)


def widened(logits: Tensor) -> Tensor:
    """Return logits (N, K) in fp32, or as they are where they are wider."""
    return logits.float() if logits.dtype.itemsize < 4 else logits


def _log_softmax(logits: Tensor) -> Tensor:
    return F.log_softmax(widened(logits), dim=1)
