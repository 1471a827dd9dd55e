"""Stochastic gradient descent with momentum, without what torch's class loads beside it."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from regmix.training.buffers import Buffers


class MomentumSGD:
    """v <- momentum v + gradient + weight_decay w, then w <- w - lr v (Sutskever et al., 2013).

    The arithmetic is torch's own, `torch.optim.sgd.sgd`. The class `torch.optim.SGD` does the same,
    but to build one loads torch's compiler, 800 modules, into each worker (`benchmarks/README.md`).
    """

    def __init__(
        self,
        weights: Iterable[nn.Parameter],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
        buffers: Buffers | None = None,
    ) -> None:
        """Begin at rest.

        Args:
            weights: parameters that `step` changes.
            lr: step size, above 0; may be set anew before each step.
            momentum: share of the velocity that is kept, in [0, 1).
            weight_decay: factor of the weights in the gradient, at least 0.
            buffers: those of the weights among them that are trained; by default each weight is
                moved by itself.
        """
        self._momentum, self._weight_decay = momentum, weight_decay
        self._weights = list(weights)
        trained = [weight for weight in self._weights if weight.requires_grad]
        self._trained = Buffers(trained, flat=False) if buffers is None else buffers
        self._pace, self._gradients = self._trained.zeros(), self._trained.zeros()
        pace = dict(zip(map(id, self._trained.tensors), self._pace.tensors, strict=True))
        self._velocity = [
            pace[id(weight)] if id(weight) in pace else torch.zeros_like(weight)
            for weight in self._weights
        ]
        device = next((weight.device for weight in self._weights), None)
        self._rate, self._kept, self._decay = (
            torch.full((), value, dtype=torch.float64, device=device)
            for value in (lr, momentum, weight_decay)
        )
        self.lr = lr

    @property
    def lr(self) -> float:
        """Step size; on the device too, where a captured step reads it."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = value
        self._rate.fill_(value)

    def restart(self, lr: float, momentum: float, weight_decay: float) -> None:
        """Begin anew at rest; momentum and weight decay are 0 where they were."""
        self.lr, self._momentum, self._weight_decay = lr, momentum, weight_decay
        self._kept.fill_(momentum)
        self._decay.fill_(weight_decay)
        for velocity in (*self._velocity, *self._pace.pieces):
            velocity.zero_()

    @property
    def moved(self) -> list[Tensor]:
        """The velocities in their buffers."""
        return self._pace.pieces

    @torch.no_grad()
    def step(self, sound: Tensor | None = None) -> None:
        """Move each weight that has a gradient.

        Args:
            sound: () bool on the device; where it is False, nothing is moved. None is True.
        """
        trained = self._trained
        present = [weight.grad for weight in trained.tensors if weight.grad is not None]
        if len(trained.pieces) < len(trained.tensors) == len(present):
            torch._foreach_copy_(self._gradients.tensors, present)
            self._move(trained.pieces, self._gradients.pieces, self._pace.pieces, sound)
            return
        weights, velocities = list[Tensor](), list[Tensor]()
        for weight, velocity in zip(self._weights, self._velocity, strict=True):
            if weight.grad is not None:
                weights.append(weight)
                velocities.append(velocity)
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        self._move(weights, gradients, velocities, sound)

    def _move(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        velocities: list[Tensor],
        sound: Tensor | None,
    ) -> None:
        if sound is None:
            sgd(
                weights,
                gradients,
                list(velocities),
                lr=self.lr,
                momentum=self._momentum,
                weight_decay=self._weight_decay,
                dampening=0,
                nesterov=False,
                maximize=False,
            )
            return
        # the same arithmetic with numbers of the device, and its results only where they are sound
        for weight, gradient, velocity in zip(weights, gradients, velocities, strict=True):
            moving = gradient
            if self._weight_decay:
                moving = torch.addcmul(moving, weight, self._decay)
            if self._momentum:
                moving = velocity.mul(self._kept).add_(moving)
                torch.where(sound, moving, velocity, out=velocity)
            moved = torch.addcmul(weight, moving, self._rate, value=-1)
            torch.where(sound, moved, weight, out=weight)

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Return the velocities, one for each weight, as they are and not copied."""
        return {"velocity": self._velocity}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Copy what `state_dict` returned for the same weights, onto their device."""
        for own, given in zip(self._velocity, state["velocity"], strict=True):
            own.copy_(given)
