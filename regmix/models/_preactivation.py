"""Residual networks of pre-activation blocks, of which the model files choose depth and width."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from regmix.models._initialization import he_normal


class Block(nn.Module):
    """Two 3x3 convolutions, each behind its BatchNorm and ReLU, and a way around both.

    He et al., ECCV 2016, and Zagoruyko and Komodakis, BMVC 2016: where the number of channels
    changes, the way around is a 1x1 convolution behind the first activation.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)
        changes = stride != 1 or inputs != outputs
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if changes else None

    def forward(self, features: Tensor) -> Tensor:
        """Turn (N, inputs, H, W) into (N, outputs, H / stride, W / stride)."""
        active = self.relu(self.bn1(features))
        around = features if self.shortcut is None else self.shortcut(active)
        return around + self.conv2(self.relu(self.bn2(self.conv1(active))))  # type: ignore[no-any-return]


def network(
    channels: int, classes: int, *, stem: int, widths: Sequence[int], blocks: int
) -> nn.Sequential:
    """Build stem, groups of blocks, a last BatchNorm and ReLU, mean pooling, a linear layer.

    The stem is a 3x3 convolution of stride 1; every group but the first halves the resolution.

    Args:
        channels: number of the images' channels; any size of image is taken.
        classes: number of logits.
        stem: number of channels behind the stem.
        widths: numbers of channels of the groups.
        blocks: number of blocks in each group.
    """
    layers: list[nn.Module] = [nn.Conv2d(channels, stem, 3, padding=1, bias=False)]
    for group, (inputs, outputs) in enumerate(pairwise((stem, *widths))):
        layers.append(Block(inputs, outputs, stride=2 if group else 1))
        layers += [Block(outputs, outputs, stride=1) for _ in range(blocks - 1)]
    layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes)]
    model = nn.Sequential(*layers)
    he_normal(model)
    return model
