"""What a training step is given: images, labels and starting perturbations, all that is drawn."""

from typing import NamedTuple

import torch
from torch import Tensor

from regmix import registry
from regmix.config import TrainConfig
from regmix.placed import Placed
from regmix.training.augment import Crop, crop_flip
from regmix.training.batches import rows
from regmix.training.perturbation_memory import PerturbationMemory


class StepInputs(NamedTuple):
    """A batch as it is trained on."""

    images: Tensor  # (N, C, H, W), pixels in [0, 1]
    start: Tensor  # (N, C, H, W) perturbations that the attack begins at
    labels: Tensor  # (N,) int64
    target: Tensor  # (N, K) class probabilities, the smoothed labels


class Source:
    """The training images on the device, and the random numbers of a run."""

    def __init__(
        self,
        config: TrainConfig,
        data: Placed,
        memory: PerturbationMemory | None,
        device: torch.device,
        *,
        channels_last: bool,
    ) -> None:
        """Read images that are placed on the device.

        Args:
            config: configuration of the run.
            data: training images, which other runs may read too.
            memory: starting perturbations of earlier epochs, where the run has them.
            device: device of images and memory.
            channels_last: whether a batch lies in memory with its channels last.
        """
        self._config, self._memory, self._device = config, memory, device
        self._format = torch.channels_last if channels_last else torch.contiguous_format
        self.images, self.labels = data.images, data.labels
        self.noise = torch.Generator(device).manual_seed(config.seed)
        attack = config.attack
        self._radius = registry.companion("attack", attack.name)(
            epsilon=config.train_epsilon, **attack.options
        )
        self._targets = _targets(len(data.classes), config.true_class_mass).to(device)

    def draw(self, index: Tensor) -> tuple[StepInputs, Crop | None]:
        """Return the batch of the images at `index` (N,), and the crop that the memory follows."""
        images, crop = self._images(index)
        start, labels = self._start(index, images, crop), self.labels[index]
        return StepInputs(images, start, labels, self._targets[labels]), crop

    def _images(self, index: Tensor) -> tuple[Tensor, Crop | None]:
        """Return the images as they are trained on, and the crop that the memory follows."""
        images, crop = rows(self.images, index), None
        if self._config.augment == "crop_flip":
            crop = crop_flip(images, self.noise)
            images = crop.take(images)
        pixels = torch.empty(images.shape, device=self._device, memory_format=self._format).copy_(
            images
        )
        return pixels.div_(255), crop if self._config.align_history else None

    def _start(self, index: Tensor, images: Tensor, crop: Crop | None) -> Tensor:
        """Return the initial perturbations (N, C, H, W), at which the attack takes its gradient.

        Random and corner starts, and those of the memory after a reset, lie in the ball but may
        carry a pixel out of [0, 1]: on the digits 35 to 40 % of them. The code of FGSM-MEP and
        FGSM-PGK leaves them there, and so does N-FGSM; that of PGD (Madry et al.) and of FGSM-RS
        (Wong et al.) cuts them to the box. `start_box` chooses.
        """
        start = self._drawn(index, images, crop)
        if self._config.start_box == "clipped":
            start = torch.clamp(start, min=-images, max=1 - images)
        return start

    def _drawn(self, index: Tensor, images: Tensor, crop: Crop | None) -> Tensor:
        """Return the start in its ball, wherever it carries the pixels."""
        if self._memory:
            return self._memory.recall(index, crop)
        if self._config.initialization == "zero":
            return torch.zeros_like(images)
        noise = torch.rand(images.shape, generator=self.noise, device=self._device) * 2 - 1
        if self._config.initialization == "corner":
            noise = noise.sign()
        return torch.empty_like(images).copy_(self._radius.start * noise)


def _targets(classes: int, tau: float) -> Tensor:
    """Return (K, K), in row k the smoothed label k: tau for its class, the rest shared equally."""
    hot = torch.eye(classes)
    return hot * tau + (1 - hot) * (1 - tau) / (classes - 1)
