"""ResNet-18 for 32x32 images: torchvision's, with the stem that the CIFAR literature uses."""

from typing import cast

from torch import nn

from regmix.vision import torchvision


def resnet18(channels: int, classes: int) -> nn.Module:
    """Build He et al.'s ResNet-18 with a 3x3 stem of stride 1 and no pooling after it.

    11,173,962 parameters at 3 channels and 10 classes. Images come in [0, 1] and are not
    normalised, as in the lineage's code.
    """
    model = cast(nn.Module, torchvision.models.resnet18(num_classes=classes))
    model.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    return model
