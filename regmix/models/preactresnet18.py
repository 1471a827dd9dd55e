"""PreActResNet-18 in the form that the adversarial-training literature uses."""

from torch import nn

from regmix.models._preactivation import network
from regmix.ranges import Count


def preactresnet18(channels: int, classes: int, *, width: Count = 64) -> nn.Module:
    """Build He et al.'s pre-activation ResNet-18 (ECCV 2016) with a 3x3 stem of stride 1.

    11,172,170 parameters at 3 channels, 10 classes and width 64: the form that ends with a
    BatchNorm and a ReLU, as the paper has it (some copies leave them out: 11,171,146).

    Args:
        channels: number of the images' channels; pixels in [0, 1] are taken as they are, as
            in the lineage's code.
        classes: number of logits.
        width: number of channels of the first group; the others have 2, 4 and 8 times as many.
    """
    widths = [width, 2 * width, 4 * width, 8 * width]
    return network(channels, classes, stem=width, widths=widths, blocks=2)
