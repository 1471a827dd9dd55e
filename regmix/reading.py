"""The one door by which a part of any data set is read: what comes out has been looked at."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from regmix import registry
from regmix.errors import InputError, first_line, shown
from regmix.images import Images, PartName, is_grey
from regmix.progress import Progress, heard_by, unheard
from regmix.user_files import absolute

_DARK = 128  # brightest pixel below which an epsilon over 255 is not what it seems


def read_part(
    name: str, options: Mapping[str, object], part: PartName, progress: Progress = unheard
) -> Images:
    """Read one part of a data set, the tool's own or a plug-in's.

    Args:
        name: name of the data set.
        options: its options.
        part: `train` or `test`.
        progress: hears how many images are read, where that takes long.

    Raises:
        InputError: where it can't be read, or is not what `Images` says: bytes in [0, 255] of one
            shape, of which epsilon is a share, and a class for each.
    """
    folder = options.get("data_dir")
    if folder:
        absolute(str(folder), "data_dir")  # proves that there may be such a path
    try:
        with heard_by(progress):
            images = registry.find("data", name, options)(part)
    except InputError:
        raise
    except Exception as error:
        place = registry.plugin_place(error)
        if place is None:
            raise
        reason = f"{type(error).__name__}: {first_line(error)}"[:150]
        raise InputError(f"{place}: can't read the {part} part ({reason}); correct it") from error
    place = str(folder or f"data {name}")
    _check(images, place, part)
    return replace(images, remarks=(*images.remarks, *_remarks(images)))


def _check(images: object, place: str, part: PartName) -> None:
    if not isinstance(images, Images):
        raise InputError(f"{place}: must return Images, but returns {type(images).__name__}")
    pixels, labels, count = images.images, images.labels, len(images.classes)
    bytes_ = "convert them to bytes, times 255 where they lie in [0, 1]"
    for what, found, kind, axes, remedy in (
        ("images", pixels, np.uint8, 4, bytes_),
        ("labels", labels, np.int64, 1, "convert them"),
    ):
        if not isinstance(found, np.ndarray) or found.dtype != kind or found.ndim != axes:
            shape = f"{getattr(found, 'dtype', type(found).__name__)}{np.shape(found)}"
            raise InputError(
                f"{place}: {what} of the {part} part must be {kind.__name__} with {axes} axes, but "
                f"are {shape}; {remedy}"
            )
    if not pixels.size or len(pixels) != len(labels):
        raise InputError(
            f"{place}: the {part} part must have one label for each image and at least one of "
            f"both, but has {pixels.shape} and {len(labels)}; correct it"
        )
    if count < 2 or labels.min() < 0 or labels.max() >= count:
        raise InputError(
            f"{place}: labels of the {part} part must lie in [0, {count - 1}] for {count} classes, "
            f"at least 2, but reach from {shown(labels.min())} to {shown(labels.max())}; number "
            "them anew"
        )
    if pixels.max() <= 1:
        raise InputError(
            f"{place}: the brightest pixel of the {part} part must be above 1 of 255, but is "
            f"{pixels.max()}, so that no epsilon means anything; store images times 255"
        )


def _remarks(images: Images) -> list[str]:
    """Return what is no mistake for certain, but changes what an epsilon means."""
    brightest, channels = int(images.images.max()), images.images.shape[1]
    said = [f"the brightest pixel is {brightest} of 255"] if brightest < _DARK else []
    for channel in range(channels):
        layer = images.images[:, channel]
        if layer.min() == layer.max():
            said.append(f"channel {channel + 1} of {channels} is {layer.max()} everywhere")
    if channels == 3 and is_grey(images.images):
        said.append("their three channels are equal, yet an attack may change them apart")
    if copies := images.repeated():
        said.append(f"{copies:,} of them copies of others")
    return said
