"""WideResNet-34-10, the large network of the adversarial-training literature."""

from torch import nn

from regmix.models._preactivation import network
from regmix.ranges import Count


def wrn34_10(channels: int, classes: int, *, width: Count = 10) -> nn.Module:
    """Build Zagoruyko and Komodakis's WideResNet of 34 layers (BMVC 2016), without dropout.

    46,160,474 parameters at 3 channels, 10 classes and width 10.

    Args:
        channels: number of the images' channels; pixels in [0, 1] are taken as they are, as
            in the lineage's code.
        classes: number of logits.
        width: widening factor; the groups have 16, 32 and 64 times as many channels.
    """
    widths = [16 * width, 32 * width, 64 * width]
    return network(channels, classes, stem=16, widths=widths, blocks=5)
