"""CIFAR-10: torchvision's copy, or an image folder with the same classes."""

import pickle
from pathlib import Path

import numpy as np

from regmix.data.image_folder import image_folder
from regmix.errors import InputError
from regmix.images import Images, PartName


def cifar10(part: PartName, *, data_dir: str = "") -> Images:
    """Return 50,000 training or 10,000 test images of shape (3, 32, 32).

    Args:
        part: which of the two.
        data_dir: with train/ and test/ inside, an image folder is read; otherwise the archive
            is looked for there, and downloaded from its authors' host where it is missing.

    Raises:
        InputError: where the images can't be had, or a folder has other classes than ten.
    """
    root = Path(data_dir)
    if data_dir and not root.is_dir():
        raise InputError(f"{root}: no such folder; make it, and CIFAR-10 is downloaded into it")
    if (root / "train").is_dir():
        images = image_folder(part, data_dir=data_dir)
        if len(images.classes) != 10:
            raise InputError(f"{root}: must have 10 classes, but has {len(images.classes)}")
        return images
    return _archive(part, root if data_dir else Path("data"))


def _archive(part: PartName, root: Path) -> Images:
    from regmix.vision import torchvision

    try:
        data = torchvision.datasets.CIFAR10(str(root), train=part == "train", download=True)
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{root}: CIFAR-10 can't be had ({reason}); download it there, or give an image "
            "folder with train/ and test/ by --data-dir"
        ) from None
    pixels = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))
    return Images(pixels, np.asarray(data.targets, np.int64), tuple(data.classes))
