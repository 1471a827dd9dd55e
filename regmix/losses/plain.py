"""Plain adversarial training: cross-entropy at the final perturbation."""

from torch import Tensor
from torch.nn import functional as F

from regmix.interfaces import LossInputs


def plain(final: Tensor, initial: Tensor, clean: Tensor | None, target: Tensor) -> Tensor:  # noqa: ARG001
    """Return CE(f, y), the mean over the batch, from (N, K) logits and (N, K) probabilities."""
    return F.cross_entropy(final, target)


def inputs() -> LossInputs:
    """Return that only the final output is used."""
    return LossInputs(initial=False, clean=False)
