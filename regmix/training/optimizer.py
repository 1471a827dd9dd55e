"""Stochastic gradient descent with momentum, without what torch's class loads beside it."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd


class MomentumSGD:
    """v <- momentum v + gradient + weight_decay w, then w <- w - lr v (Sutskever et al., 2013).

    The arithmetic is torch's own, `torch.optim.sgd.sgd`. The class `torch.optim.SGD` does the same,
    but to build one loads torch's compiler, 800 modules, into each worker (`benchmarks/README.md`).
    """

    def __init__(
        self, weights: Iterable[nn.Parameter], *, lr: float, momentum: float, weight_decay: float
    ) -> None:
        """Begin at rest.

        Args:
            weights: parameters that `step` changes.
            lr: step size, above 0; may be set anew before each step.
            momentum: share of the velocity that is kept, in [0, 1).
            weight_decay: factor of the weights in the gradient, at least 0.
        """
        self.lr, self._momentum, self._weight_decay = lr, momentum, weight_decay
        self._weights = list(weights)
        self._velocity = [torch.zeros_like(weight) for weight in self._weights]

    @torch.no_grad()
    def step(self) -> None:
        """Move each weight that has a gradient."""
        moved = [
            (weight, weight.grad, velocity)
            for weight, velocity in zip(self._weights, self._velocity, strict=True)
            if weight.grad is not None
        ]
        weights, gradients, velocities = map(list, zip(*moved, strict=True))
        sgd(
            weights,
            gradients,
            velocities,
            lr=self.lr,
            momentum=self._momentum,
            weight_decay=self._weight_decay,
            dampening=0,
            nesterov=False,
            maximize=False,
        )

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Return the velocities, one for each weight, as they are and not copied."""
        return {"velocity": self._velocity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Copy what `state_dict` returned for the same weights, onto their device."""
        for own, given in zip(self._velocity, state["velocity"], strict=True):
            own.copy_(given)
