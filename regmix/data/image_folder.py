"""Any images in folders: train/<class>/* and test/<class>/*, all of one size."""

from pathlib import Path

import numpy as np

from regmix.data._class_folders import list_classes, other_folders
from regmix.data._image_files import Decoded, all_grey, check_sizes, decode
from regmix.errors import InputError
from regmix.images import Images, PartName


def image_folder(part: PartName, *, data_dir: str = "") -> Images:
    """Read every image of a part as (3, H, W); classes are numbered in alphabetical order.

    Where no training image has colours, images are (1, H, W): an attack must not change three
    channels apart that are one. Grey images among others get three equal channels. Images of 16
    bits are scaled to 8, and those that lie on a side are turned as their EXIF says. Hidden files
    and folders, and files that are no images, are left out, which is said; images of another kind,
    of several frames, with transparent pixels, or deeper than their class folder are refused. Of
    the part that is not asked for, only names and sizes are read.

    Args:
        part: `train` or `test`.
        data_dir: folder with train/<class>/ and test/<class>/.

    Raises:
        InputError: for a missing folder, differing classes, an unreadable image or size.
    """
    if not data_dir:
        raise InputError("data_dir: image_folder needs a folder, but none is given; set data_dir")
    root = Path(data_dir)
    train, test = (list_classes(root / name) for name in ("train", "test"))
    if train.classes != test.classes:
        raise InputError(
            f"{root}: train/ and test/ must have the same class folders, but differ in "
            f"{sorted({*train.classes} ^ {*test.classes})[:5]}; add the missing ones"
        )
    own, other = (train, test) if part == "train" else (test, train)
    found = decode(root, part, own.paths)
    height, width = found.pixels.shape[2:]
    check_sizes(root, "test" if part == "train" else "train", other.paths, (width, height))
    grey = bool(found.grey.all()) if part == "train" else all_grey(train.paths)
    if grey and not found.grey.all():
        odd = own.paths[int(np.argmin(found.grey))]
        raise InputError(
            f"{odd}: has colours, but no training image has; convert it to grey, or train on "
            "coloured images too"
        )
    return Images(
        found.pixels[:, :1].copy() if grey else found.pixels,
        np.repeat(np.arange(len(own.classes)), [len(files) for files in own.files]),
        own.classes,
        other=len(other.paths),
        left_out=(*own.left_out, *other_folders(root, ("train", "test"))),
        remarks=_remarks(found, grey),
    )


def _remarks(found: Decoded, grey: bool) -> tuple[str, ...]:
    mixed = 0 if grey else int(found.grey.sum())
    said = [
        (mixed, f"{mixed:,} of them grey, with three equal channels"),
        (found.turned, f"{found.turned:,} of them turned as their EXIF says"),
    ]
    return tuple(words for count, words in said if count)
