"""Normalisation inside the model, so that every attack works on pixels in [0, 1]."""

import torch
from torch import Tensor, nn

from regmix.divisors import divisors


class Normalized(nn.Module):
    """Shifts and scales each channel, then calls a network.

    Mean and deviation are buffers: they travel with the weights, so no data are needed later.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, channels: int) -> None:
        """Wrap a network; until `fit` is called, nothing is changed.

        Args:
            network: network from images (N, C, H, W) to logits (N, K).
            channels: number of channels C.
        """
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.zeros(1, channels, 1, 1))
        self.register_buffer("deviation", torch.ones(1, channels, 1, 1))

    def fit(self, images: Tensor, epsilon: float = 1 / 255) -> None:
        """Take mean and standard deviation of each channel; see `divisors` for a flat one.

        Args:
            images: (N, C, H, W) uint8.
            epsilon: radius of the evaluation, pixels in [0, 1].
        """
        deviations = []
        for channel in range(images.shape[1]):  # one at a time: in doubles the whole is large
            pixels = images[:, channel].double() / 255
            self.mean[0, channel] = pixels.mean()
            deviations.append(float(pixels.std(correction=min(1, pixels.numel() - 1))))
        for channel, divisor in enumerate(divisors(deviations, epsilon)):
            self.deviation[0, channel] = divisor

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of images (N, C, H, W), pixels in [0, 1]."""
        logits: Tensor = self.network((images - self.mean) / self.deviation)
        return logits
