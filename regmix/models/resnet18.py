"""ResNet-18 for 32x32 images: torchvision's, with the stem that the CIFAR literature uses."""

from typing import Any

from torch import nn

from regmix.models._initialization import he_normal
from regmix.ranges import Count
from regmix.torchvision_cpu import torchvision


def resnet18(channels: int, classes: int, *, width: Count = 64) -> nn.Module:
    """Build He et al.'s ResNet-18 with a 3x3 stem of stride 1 and no pooling after it.

    11,173,962 parameters at 3 channels, 10 classes and width 64.

    Args:
        channels: number of the images' channels; pixels in [0, 1] are taken as they are, as
            in the lineage's code.
        classes: number of logits.
        width: number of channels of the first group; the others have 2, 4 and 8 times as many.
    """
    model: Any = torchvision.models.resnet18(num_classes=classes)
    model.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    model.maxpool = nn.Identity()
    if width != model.bn1.num_features:
        _rebuild(model, width, classes)
    return model  # type: ignore[no-any-return]


def _rebuild(model: Any, width: int, classes: int) -> None:  # noqa: ANN401
    """Put layers of another width behind the stem, made and begun as torchvision's own."""
    block = torchvision.models.resnet.BasicBlock
    model.bn1 = nn.BatchNorm2d(width)
    model.inplanes = width
    for group in range(4):
        layer = model._make_layer(block, width * 2**group, 2, stride=2 if group else 1)
        he_normal(layer)
        setattr(model, f"layer{group + 1}", layer)
    model.fc = nn.Linear(8 * width, classes)
