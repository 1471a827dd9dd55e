"""Any images in folders: train/<class>/* and test/<class>/*, all of one size."""

from pathlib import Path

import numpy as np

from regmix.data._image_files import decode
from regmix.errors import InputError
from regmix.images import Images, PartName

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm"})


def image_folder(part: PartName, *, data_dir: str = "") -> Images:
    """Read every image of a part as (3, H, W); classes are numbered in alphabetical order.

    Args:
        part: `train` or `test`.
        data_dir: folder with train/<class>/ and test/<class>/.

    Raises:
        InputError: for a missing folder, differing classes, an unreadable image or size.
    """
    if not data_dir:
        raise InputError("data_dir: image_folder needs a folder, but none is given; set data_dir")
    root = Path(data_dir)
    classes = _classes(root / "train")
    if _classes(root / "test") != classes:
        raise InputError(
            f"{root}: train/ and test/ must have the same class folders, but differ in "
            f"{sorted(set(classes) ^ set(_classes(root / 'test')))}; add the missing ones"
        )
    files = [sorted(_images(root / part / name)) for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(own) for own in files])
    return Images(decode([path for own in files for path in own]), labels, classes)


def _classes(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        raise InputError(
            f"{folder}: no such folder; an image folder has train/<class>/ and test/<class>/"
        )
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
    if len(names) < 2:
        raise InputError(f"{folder}: must hold at least 2 class folders, but has {len(names)}")
    return tuple(names)


def _images(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES]
    if not found:
        raise InputError(f"{folder}: no image in this class folder; remove it or fill it")
    return found
