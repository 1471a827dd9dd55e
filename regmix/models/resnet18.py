"""ResNet-18 for 32x32 images, with the stem that the CIFAR literature uses."""

from torch import Tensor, nn

from regmix.models._initialization import he_normal
from regmix.ranges import Count


def resnet18(channels: int, classes: int, *, width: Count = 64) -> nn.Module:
    """Build He et al.'s ResNet-18 with a 3x3 stem of stride 1 and no pooling after it.

    11,173,962 parameters at 3 channels, 10 classes and width 64. Names and first weights are those
    of torchvision's, whose stem was replaced: it is drawn last, and its predecessor before it.

    Args:
        channels: number of the images' channels; pixels in [0, 1] are taken as they are, as
            in the lineage's code.
        classes: number of logits.
        width: number of channels of the first group; the others have 2, 4 and 8 times as many.
    """
    return ResNet(channels, classes, width)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, each before its BatchNorm, and a way around both before the last ReLU.

    He et al., CVPR 2016: where the number of channels changes, the way around is a 1x1 convolution
    with a BatchNorm.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        around = None
        if stride != 1 or inputs != outputs:
            around = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = around

    def forward(self, features: Tensor) -> Tensor:
        """Turn (N, inputs, H, W) into (N, outputs, H / stride, W / stride)."""
        around = features if self.downsample is None else self.downsample(features)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(features)))))
        return self.relu(out + around)  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """A stem, four groups of two blocks, mean pooling, a linear layer."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, bias=False)  # torchvision's, for what is drawn after it
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _group(width, width, stride=1)
        self.layer2 = _group(width, 2 * width, stride=2)
        self.layer3 = _group(2 * width, 4 * width, stride=2)
        self.layer4 = _group(4 * width, 8 * width, stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8 * width, classes)
        he_normal(self)
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of images (N, C, H, W)."""
        features = self.relu(self.bn1(self.conv1(images)))
        for group in (self.layer1, self.layer2, self.layer3, self.layer4):
            features = group(features)
        return self.fc(self.avgpool(features).flatten(1))  # type: ignore[no-any-return]


def _group(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1))
