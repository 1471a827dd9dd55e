"""Not finite is never right: NaN and infinity are told where they would become a result.

`argmax` of NaN is class 0 and NaN exceeds no limit, so that a network which has overflowed would
be scored like any other, with no sign that its number means nothing.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from regmix.errors import NonFiniteError


def finite(values: Tensor, what: str) -> Tensor:
    """Return values unchanged.

    Args:
        values: tensor of any shape.
        what: what they are, in the plural, for the message.

    Raises:
        NonFiniteError: where one of them is NaN or infinite.
    """
    if not torch.isfinite(values).all():
        raise NonFiniteError(f"{what} are NaN or infinite")
    return values


class Finite(nn.Module):
    """A network whose logits are proved to be finite, for code that asks it by itself."""

    def __init__(self, network: nn.Module) -> None:
        """Stand before a network, in the mode that it is in."""
        super().__init__()
        self.network = network
        self.training = network.training

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of images (N, C, H, W); NonFiniteError where one is not finite."""
        return finite(self.network(images), "logits")


def constants(network: nn.Module) -> dict[str, Tensor]:
    """Return copies of a fresh network's tensors that are meant to be infinite, such as a mask."""
    return {
        name: tensor.clone()
        for name, tensor in network.state_dict().items()
        if not torch.isfinite(tensor).all()
    }


def overflowed(state: Mapping[str, Tensor], allowed: Mapping[str, Tensor]) -> str | None:
    """Return the name of the first tensor that is not finite, None where all are.

    Args:
        state: a network's `state_dict`, on any device.
        allowed: what `constants` returned for the same network when it was fresh.
    """
    for name, tensor in state.items():
        if torch.isfinite(tensor).all():
            continue
        if name not in allowed or not torch.equal(tensor.cpu(), allowed[name].cpu()):
            return name
    return None
