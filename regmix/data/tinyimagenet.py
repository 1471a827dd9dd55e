"""Tiny ImageNet, 64x64 in 200 classes: the folder that its authors' archive unpacks to."""

from pathlib import Path

import numpy as np

from regmix.data._image_files import decode
from regmix.errors import InputError, shown
from regmix.images import Images, PartName
from regmix.user_files import regular_file

_CLASSES = 200
_ARCHIVE = "tiny-imagenet-200"
_ANEW = "unpack tiny-imagenet-200.zip anew"


def tinyimagenet(part: PartName, *, data_dir: str = "") -> Images:
    """Return 100,000 training or 10,000 test images of shape (3, 64, 64).

    Source: Stanford's course CS231n, tiny-imagenet-200.zip. The labels of its own test part
    were never published, so that everyone tests on its val part; so do we. Classes are
    numbered in the order of their WordNet names. Either part is read without the other.

    Args:
        part: `train` or `test`.
        data_dir: unpacked archive, or folder in which it was unpacked.

    Raises:
        InputError: for a missing or damaged file, or one of another size.
    """
    if not data_dir:
        raise InputError("data_dir: tinyimagenet needs its folder, but none is given; set data_dir")
    root = Path(data_dir)
    if (root / _ARCHIVE).is_dir():
        root = root / _ARCHIVE
    classes = _classes(root / "wnids.txt")
    paths, labels = _train(root, classes) if part == "train" else _val(root, classes)
    images = decode(
        root, part, paths
    ).pixels  # grey ones, of which there are some, have equal channels
    if images.shape[1:] != (3, 64, 64):
        height, width = images.shape[2:]
        raise InputError(f"{paths[0]}: must be 64x64 pixels, but is {width}x{height}; {_ANEW}")
    return Images(images, np.asarray(labels, np.int64), classes, other=_others(root, part))


def _others(root: Path, part: PartName) -> int | None:
    """Return how many images the part has that is not read, None where it is not there."""
    pattern = "val/images/*.JPEG" if part == "train" else "train/*/images/*.JPEG"
    return sum(1 for _ in root.glob(pattern)) or None


def _lines(path: Path) -> list[str]:
    regular_file(path, f"{_ANEW}, or give its folder")
    try:
        return path.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        raise InputError(f"{path}: can't be read (not text); {_ANEW}, or give its folder") from None


def _classes(path: Path) -> tuple[str, ...]:
    names = sorted({line.strip() for line in _lines(path)} - {""})
    if len(names) != _CLASSES:
        raise InputError(f"{path}: must name {_CLASSES} classes, but names {len(names)}; {_ANEW}")
    return tuple(names)


def _train(root: Path, classes: tuple[str, ...]) -> tuple[list[Path], list[int]]:
    """Return the files in train/<class>/images, with the number of each one's class."""
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        folder = root / "train" / name / "images"
        found = sorted(folder.glob("*.JPEG"))
        if not found:
            raise InputError(f"{folder}: must hold images *.JPEG, but has none; {_ANEW}")
        paths += found
        labels += [label] * len(found)
    return paths, labels


def _val(root: Path, classes: tuple[str, ...]) -> tuple[list[Path], list[int]]:
    """Return the files that val/val_annotations.txt names, with the number of their class."""
    table = root / "val" / "val_annotations.txt"
    numbers = {name: number for number, name in enumerate(classes)}
    paths: list[Path] = []
    labels: list[int] = []
    for place, line in enumerate(_lines(table), start=1):
        file, _, rest = line.partition("\t")
        name = rest.partition("\t")[0].strip()
        if name not in numbers:
            raise InputError(
                f"{table}:{place}: must be an image, a tab and a class of wnids.txt, but is "
                f"{shown(line)}; {_ANEW}"
            )
        paths.append(root / "val" / "images" / file)
        labels.append(numbers[name])
    if not paths:
        raise InputError(f"{table}: must name the images of val/, but is empty; {_ANEW}")
    return paths, labels
