"""Any images in folders: train/<class>/* and test/<class>/*, all of one size."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regmix.errors import InputError
from regmix.images import Images, PartName

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm"})


def image_folder(part: PartName, *, data_dir: str = "") -> Images:
    """Read every image of a part as (3, H, W); classes are numbered in alphabetical order.

    Raises:
        InputError: for a missing folder, differing classes, an unreadable image or size.
    """
    if not data_dir:
        raise InputError("data_dir: image_folder needs a folder; give --data-dir FOLDER")
    root = Path(data_dir)
    classes = _classes(root / "train")
    if _classes(root / "test") != classes:
        raise InputError(
            f"{root}: train/ and test/ must have the same class folders, but differ in "
            f"{sorted(set(classes) ^ set(_classes(root / 'test')))}; add the missing ones"
        )
    files = [sorted(_images(root / part / name)) for name in classes]
    labels = np.repeat(np.arange(len(classes)), [len(own) for own in files])
    return Images(_decode([path for own in files for path in own]), labels, classes)


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


def _decode(paths: Sequence[Path]) -> NDArray[np.uint8]:
    shape = _pixels(paths[0]).shape
    images = np.empty((len(paths), *shape), np.uint8)

    def read(place: int) -> None:
        pixels = _pixels(paths[place])
        if pixels.shape != shape:
            raise InputError(
                f"{paths[place]}: must be {shape[2]}x{shape[1]} pixels like the first image, "
                f"but is {pixels.shape[2]}x{pixels.shape[1]}; resize it"
            )
        images[place] = pixels

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(read, range(len(paths)), chunksize=256):
            pass
    return images


def _pixels(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), np.uint8).transpose(2, 0, 1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a readable image ({reason}); replace it") from None
