"""A small convolutional network for 8x8 to 32x32 images, made for many short trials."""

from torch import nn

from regmix.ranges import Count


def small_cnn(channels: int, classes: int, *, width: Count = 16) -> nn.Module:
    """Build three 3x3 convolutions (width, 2 width, 4 width), mean pooling and a linear layer.

    Args:
        channels: number of the images' channels; pixels in [0, 1].
        classes: number of logits.
        width: number of channels of the first layer.
    """

    def block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]

    return nn.Sequential(
        *block(channels, width, 1),
        *block(width, 2 * width, 2),
        *block(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, classes),
    )
