"""One starting perturbation and one gradient momentum for each training image."""

from typing import Any, Literal

import torch
from torch import Tensor

from regmix.projection import project
from regmix.training.augment import Crop
from regmix.training.batches import rows

_LARGEST = 6e4  # fp16 ends at 65504
_SLICE = 1 << 22  # elements that are drawn at once: 16 MiB


class PerturbationMemory:
    """The prior of FGSM-MEP (Jia et al., ECCV 2022, section 3.3).

    After a batch with gradient g:  m <- g / mean|g| + mu m,  d <- project(d + a sign(m)).
    Every `reset_interval` epochs all start again from a random corner of the ball, m from zero.

    The published code divides by the l1 norm over the whole batch; the mean differs from it by
    the batch's constant size, keeps the numbers where fp16 is exact, and does not make a short
    last batch count more. Other rules for the new part of m: `sign` takes sign(g), as the
    paper's text does; `success` multiplies g / mean|g| by 2 - correct(final) / correct(initial),
    counted over the batch, so that a gradient whose step fooled many weighs more (FGSM-PGK).

    Perturbations are kept in the coordinates of the crop they were made on and are not moved
    with crop or flip, as in the published code. With the batch's `Crop` they are kept in the
    coordinates of the image instead, and cropped and mirrored as it is.

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
        momentum_rule: Literal["norm", "sign", "success"],
        reset_interval: int,
        device: torch.device,
        channels_last: bool = False,
    ) -> None:
        """Make room for a data set.

        Args:
            count: number of images.
            shape: (C, H, W) of an image.
            epsilon, step: radius of the L-inf ball and step length a, pixels in [0, 1].
            momentum_decay: mu, in [0, 1).
            momentum_rule: rule for the new part of the momentum.
            reset_interval: number of epochs between two resets.
            device: device of both buffers.
            channels_last: whether they, and what is recalled, have their channels last in memory.
        """
        self.epsilon, self.step = epsilon, step
        self.momentum_decay, self.momentum_rule = momentum_decay, momentum_rule
        self.reset_interval = reset_interval
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self.perturbation, self.momentum = (
            torch.empty(
                (count, *shape), dtype=torch.float16, device=device, memory_format=self._format
            ).zero_()
            for _ in range(2)
        )

    def resets(self, epoch: int) -> bool:
        """Tell whether the epoch, counted from 0, begins with a reset: the history ends there."""
        return epoch % self.reset_interval == 0

    def begin_epoch(self, epoch: int, generator: torch.Generator) -> None:
        """Reset where the epoch, counted from 0, is a multiple of the interval.

        Corners are drawn for some images at a time, since random numbers take twice the room of the
        memory's. On a CPU they are the numbers of one draw.
        """
        if not self.resets(epoch):
            return
        for part in self.perturbation.split(max(1, _SLICE // self.perturbation[:1].numel())):
            corners = torch.rand(part.shape, generator=generator, device=part.device)
            part.copy_(corners.sub_(0.5).sign_().mul_(self.epsilon))
        self.momentum.zero_()

    def recall(self, index: Tensor, crop: Crop | None = None) -> Tensor:
        """Return the initial perturbations (N, C, H, W) of the images at `index` (N,)."""
        # fp16 may round epsilon up: the ball is closed in fp32
        start = self._read(self.perturbation, index, crop)
        return start.clamp(-self.epsilon, self.epsilon)

    def keep(
        self,
        index: Tensor,
        images: Tensor,
        start: Tensor,
        gradient: Tensor,
        *,
        correct: Tensor,
        crop: Crop | None = None,
        sound: Tensor | None = None,
    ) -> None:
        """Update momentum and perturbations from a batch.

        Args:
            index: (N,) indices of the batch's images.
            images: (N, C, H, W), pixels in [0, 1], cropped as they were trained on.
            start: (N, C, H, W) perturbations that the gradient was taken at.
            gradient: (N, C, H, W) gradient of the attack's loss.
            correct: (2,) numbers of images that were classified correctly at the initial and at
                the final perturbation.
            crop: crop of the batch, here and in `recall`, if the history follows the images.
            sound: () bool on the device; where it is False, nothing is kept. None is True.
        """
        old = self._read(self.momentum, index, crop)
        momentum = self._normalized_gradient(gradient, correct) + self.momentum_decay * old
        moved = project(start + self.step * momentum.sign(), images, self.epsilon)
        self._write(self.momentum, index, crop, momentum.clamp(-_LARGEST, _LARGEST), sound)
        self._write(self.perturbation, index, crop, moved, sound)

    def finite(self) -> bool:
        """Return whether both buffers hold finite numbers alone; the sign of NaN would be 0."""
        sums = torch.stack([b.sum(dtype=torch.float32) for b in (self.perturbation, self.momentum)])
        return bool(torch.isfinite(sums).all())

    def _normalized_gradient(self, gradient: Tensor, correct: Tensor) -> Tensor:
        """Return the gradient's part in the new momentum, (N, C, H, W)."""
        if self.momentum_rule == "sign":
            return gradient.sign()
        scaled = gradient / gradient.abs().mean().clamp_min(torch.finfo(gradient.dtype).tiny)
        if self.momentum_rule == "norm":
            return scaled
        initial, final = correct
        # at least one: there may be none; at least 0: no gradient counts against itself
        weight: Tensor = (2 - final / initial.clamp_min(1)).clamp_min(0)
        return scaled * weight

    def _read(self, buffer: Tensor, index: Tensor, crop: Crop | None) -> Tensor:
        stored = rows(buffer, index).float()
        return crop.take(stored).contiguous(memory_format=self._format) if crop else stored

    def _write(
        self,
        buffer: Tensor,
        index: Tensor,
        crop: Crop | None,
        values: Tensor,
        sound: Tensor | None,
    ) -> None:
        whole = crop.put(values, rows(buffer, index).float()) if crop else values
        stored = whole.half()
        buffer[index] = stored if sound is None else torch.where(sound, stored, buffer[index])

    def state_dict(self) -> dict[str, Any]:
        """Return both buffers."""
        return {"perturbation": self.perturbation, "momentum": self.momentum}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over both buffers."""
        self.perturbation.copy_(state["perturbation"])
        self.momentum.copy_(state["momentum"])
