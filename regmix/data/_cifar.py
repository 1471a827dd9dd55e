"""CIFAR-10 and CIFAR-100: torchvision's archive, or an image folder in its place."""

import pickle
import urllib.request
from pathlib import Path

import numpy as np

from regmix import atomic
from regmix.data.image_folder import image_folder
from regmix.errors import InputError, first_line
from regmix.images import Images, PartName
from regmix.progress import Phase, tell

_PATIENCE = 60  # s for a word of the host
_MEGABYTE = 10**6
_OTHER = {"train": 10_000, "test": 50_000}  # images of the part that is not read


def cifar(part: PartName, data_dir: str, *, classes: int) -> Images:
    """Return a part of CIFAR-10 or CIFAR-100.

    Args:
        part: `train` or `test`.
        data_dir: image folder with train/ and test/ inside, or folder of the archive, which is
            downloaded into it from its authors' host where it is missing.
        classes: number of classes, 10 or 100, which is also in the data set's name.

    Raises:
        InputError: where the images can't be had, or a folder has another number of classes.
    """
    root = Path(data_dir)
    if data_dir and not root.is_dir():
        raise InputError(
            f"{root}: no such folder; make it, and CIFAR-{classes} is downloaded into it"
        )
    if (root / "train").is_dir():
        images = image_folder(part, data_dir=data_dir)
        if len(images.classes) != classes:
            raise InputError(
                f"{root}: must have {classes} classes, but has {len(images.classes)}; give a "
                "folder with all of them, or choose the data set image_folder"
            )
        return images
    return _archive(part, root if data_dir else Path("data"), classes)


def _archive(part: PartName, root: Path, classes: int) -> Images:
    from regmix.torchvision_cpu import torchvision

    archive = getattr(torchvision.datasets, f"CIFAR{classes}")
    try:
        _download(archive.url, root / archive.base_folder, root / archive.filename)
        data = archive(str(root), train=part == "train", download=True)
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{root}: CIFAR-{classes} can't be had ({first_line(error)}); download it there, "
            "or give an image folder with train/ and test/ as data_dir"
        ) from None
    pixels = np.ascontiguousarray(data.data.transpose(0, 3, 1, 2))
    labels = np.asarray(data.targets, np.int64)
    return Images(pixels, labels, tuple(data.classes), other=_OTHER[part])


def _download(url: str, unpacked: Path, target: Path) -> None:
    """Download an archive that is not there yet, and tell how far that is.

    Whether it is the right one is torchvision's to say.

    Args:
        url: its address.
        unpacked: folder that it unpacks to.
        target: its file.
    """
    if unpacked.exists() or target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)

    def fetch(file: Path) -> None:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as response, open(file, "wb") as out:
            whole, done = int(response.headers.get("Content-Length") or 0), 0
            while content := response.read(_MEGABYTE):
                out.write(content)
                done += len(content)
                share = done / whole if whole else 0.0
                tell(Phase("MB", done // _MEGABYTE, whole // _MEGABYTE, "", share))

    atomic.write(target, fetch)
