"""CIFAR-100: torchvision's copy, or an image folder with the same classes."""

from regmix.data._cifar import cifar
from regmix.images import Images, PartName


def cifar100(part: PartName, *, data_dir: str = "") -> Images:
    """Return 50,000 training or 10,000 test images of shape (3, 32, 32) in 100 classes.

    Args:
        part: `train` or `test`.
        data_dir: image folder with train/ and test/ inside, or folder of the archive, which is
            downloaded into it from its authors' host where it is missing.

    Raises:
        InputError: where the images can't be had, or a folder has other classes than 100.
    """
    return cifar(part, data_dir, classes=100)
