"""CIFAR-100: torchvision's copy, or an image folder with the same classes."""

from regmix.data._cifar import cifar
from regmix.images import Images, PartName


def cifar100(part: PartName, *, data_dir: str = "") -> Images:
    """Return 50,000 training or 10,000 test images of shape (3, 32, 32) in 100 classes.

    Args:
        part: which of the two.
        data_dir: with train/ and test/ inside, an image folder is read; otherwise the archive
            is looked for there, and downloaded from its authors' host where it is missing.

    Raises:
        InputError: where the images can't be had, or a folder has other classes than 100.
    """
    return cifar(part, data_dir, classes=100)
