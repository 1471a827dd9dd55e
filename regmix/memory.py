"""One starting perturbation and one gradient momentum for each training image."""

from typing import Any

import torch
from torch import Tensor

from regmix.ball import project

_LARGEST = 6e4  # fp16 ends at 65504


class Memory:
    """The prior of FGSM-MEP (Jia et al., ECCV 2022, section 3.3).

    After a batch with gradient g:  m <- g / mean|g| + mu m,  d <- project(d + a sign(m)).
    Every `reset_interval` epochs all start again from a random corner of the ball, m from zero.

    The published code divides by the l1 norm over the whole batch; the mean differs from it by
    the batch's constant size, keeps the numbers where fp16 is exact, and does not make a short
    last batch count more. Perturbations are kept in the coordinates of the crop they were made
    on and are not moved with crop or flip, as in the published code.

    Takes 4 bytes per pixel and channel (two fp16 numbers): 12 KiB for an image of CIFAR-10.
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, ...],
        *,
        epsilon: float,
        step: float,
        momentum_decay: float,
        reset_interval: int,
        device: torch.device,
    ) -> None:
        """Make room for `count` images of `shape` (C, H, W); `step` in pixels as `epsilon`."""
        self.epsilon, self.step = epsilon, step
        self.momentum_decay, self.reset_interval = momentum_decay, reset_interval
        kind = {"dtype": torch.float16, "device": device}
        self.perturbation = torch.zeros((count, *shape), **kind)  # type: ignore[call-overload]
        self.momentum = torch.zeros((count, *shape), **kind)  # type: ignore[call-overload]

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Reset where epoch (from 0) is a multiple of the interval."""
        if epoch % self.reset_interval:
            return
        corners = torch.rand(
            self.perturbation.shape, generator=generator, device=self.perturbation.device
        )
        self.perturbation.copy_(self.epsilon * (corners - 0.5).sign())
        self.momentum.zero_()

    def recall(self, index: Tensor) -> Tensor:
        """Return the starting perturbations (N, C, H, W) of images `index` (N,)."""
        # fp16 may round epsilon up: the ball is closed in fp32
        start: Tensor = self.perturbation[index].float().clamp(-self.epsilon, self.epsilon)
        return start

    def keep(self, index: Tensor, images: Tensor, start: Tensor, gradient: Tensor) -> None:
        """Learn from the gradient (N, C, H, W) seen at `start` on `images` as they were cut."""
        scaled = gradient / gradient.abs().mean().clamp_min(torch.finfo(gradient.dtype).tiny)
        momentum = scaled + self.momentum_decay * self.momentum[index].float()
        moved = project(start + self.step * momentum.sign(), images, self.epsilon)
        self.momentum[index] = momentum.clamp(-_LARGEST, _LARGEST).half()
        self.perturbation[index] = moved.half()

    def state_dict(self) -> dict[str, Any]:
        """Return both buffers."""
        return {"perturbation": self.perturbation, "momentum": self.momentum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over both buffers."""
        self.perturbation.copy_(state["perturbation"])
        self.momentum.copy_(state["momentum"])
