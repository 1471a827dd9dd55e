"""MART: a boosted fit at the final point, and a pull that is stronger where the clean one errs."""

from torch import Tensor
from torch.nn import functional as F

from regmix.interfaces import LossInputs
from regmix.losses._divergence import kl_each
from regmix.ranges import NonNegative


def mart(
    final: Tensor,
    initial: Tensor,  # noqa: ARG001
    clean: Tensor | None,
    target: Tensor,
    *,
    mart_weight: NonNegative = 5.0,
) -> Tensor:
    """Return CE(f, y) - log(1 - max_{k != y} f_k) + mart_weight * KL(c || f) (1 - c_y).

    f and c are the softmax outputs at the final perturbation and on the clean image. Wang et
    al., ICLR 2020, eq. 9-11: weight 5 in the published script; as there, gradient flows through
    every c, that of the factor included. The published code adds 1e-4 inside the logarithm so
    that it stays finite; in log space it needs none.

    The cross-entropy fits the smoothed label; y, which the other two terms need, is its largest
    entry, hence the image's class as long as `true_class_mass` is above 1 / K.

    Args:
        final: (N, K) logits at the final perturbation.
        initial: unused.
        clean: (N, K) logits on the clean images; may be None where the weight is 0.
        target: (N, K) class probabilities, the smoothed label.
        mart_weight: weight of the pull, at least 0; lambda in the paper.

    Returns:
        () the mean over the batch.
    """
    label = target.argmax(1, keepdim=True)
    loss = F.cross_entropy(final, target) + _margin(final, label).mean()
    if mart_weight:
        assert clean is not None, "inputs() asked for the clean output"
        doubt = 1 - clean.softmax(1).gather(1, label).squeeze(1)
        loss = loss + mart_weight * (kl_each(clean, final) * doubt).mean()
    return loss


def _margin(final: Tensor, label: Tensor) -> Tensor:
    """Return -log(1 - p) of the likeliest wrong class, (N,): 1 - p is the sum of the others."""
    rival = final.scatter(1, label, -float("inf")).argmax(1, keepdim=True)
    others = final.scatter(1, rival, -float("inf"))
    return final.logsumexp(1) - others.logsumexp(1)


def inputs(*, mart_weight: float) -> LossInputs:
    """Return which outputs this weight uses."""
    return LossInputs(initial=False, clean=mart_weight > 0)
