"""RegMix: mutual regularisation between initial and final output, and a clean target."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from regmix.interfaces import LossInputs
from regmix.losses._divergence import kl
from regmix.ranges import NonNegative


def regmix(
    final: Tensor,
    initial: Tensor,
    clean: Tensor | None,
    target: Tensor,
    *,
    alpha: NonNegative = 5.0,
    beta: NonNegative = 1.0,
    gamma: NonNegative = 1.0,
    reduction: Literal["batchmean", "elementmean"] = "batchmean",
    gradient_flow: Literal["both", "target"] = "both",
    clean_direction: Literal["clean_final", "final_clean"] = "clean_final",
    clean_branches: Literal["final", "both"] = "final",
) -> Tensor:
    """Return CE(f, y) + alpha KL(f||i) + beta KL(i||f) + gamma KL(c||f).

    f, i and c are the softmax outputs at the final perturbation, at the initial one and on the
    clean image. Liu and Ojha, arXiv 2510.05317: alpha and beta weigh the two directions of the
    mutual term (WAMR), gamma the clean target (AGR). The paper's own values and its AGR
    equation are not public to us: by default the gamma term has TRADES's direction; the last
    two options are the other readings of "a clean target distribution".

    Args:
        final: (N, K) logits at the final perturbation.
        initial: (N, K) logits at the initial perturbation.
        clean: (N, K) logits on the clean images; may be None where gamma is 0.
        target: (N, K) class probabilities, the smoothed label.
        alpha: weight of KL(final || initial), the main mutual term; at least 0.
        beta: weight of KL(initial || final), the auxiliary mutual term; at least 0.
        gamma: weight of the clean target, the generalization coefficient; at least 0.
        reduction: see `regmix.losses._divergence.kl`.
        gradient_flow: `both` leaves both sides of a divergence attached, as the lineage's code
            does; `target` freezes the first one, as in deep mutual learning, so that alpha
            then trains the initial output alone.
        clean_direction: `clean_final` is KL(c || f), `final_clean` KL(f || c), the order of
            the mutual term; the frozen side of `target` is the first one in both.
        clean_branches: `both` adds the same term with the initial output in the place of the
            final one, weighed by gamma too.

    Returns:
        () the mean over the batch.
    """
    side = _attached if gradient_flow == "both" else Tensor.detach
    loss = F.cross_entropy(final, target)
    if alpha:
        loss = loss + alpha * kl(side(final), initial, reduction)
    if beta:
        loss = loss + beta * kl(side(initial), final, reduction)
    if gamma:
        assert clean is not None, "inputs() asked for the clean output"
        for attacked in (final, initial) if clean_branches == "both" else (final,):
            forward = clean_direction == "clean_final"
            first, second = (clean, attacked) if forward else (attacked, clean)
            loss = loss + gamma * kl(side(first), second, reduction)
    return loss


def _attached(logits: Tensor) -> Tensor:
    return logits


def inputs(
    *, alpha: float, beta: float, gamma: float, clean_branches: str = "final", **_: object
) -> LossInputs:
    """Return which outputs these weights use."""
    pulled = gamma > 0 and clean_branches == "both"
    return LossInputs(initial=alpha > 0 or beta > 0 or pulled, clean=gamma > 0)
