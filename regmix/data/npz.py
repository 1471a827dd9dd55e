"""Images in one .npz file, such as those of MedMNIST: four arrays with agreed names."""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from regmix.errors import InputError, first_line
from regmix.images import Images, PartName

_MOST_CHANNELS = 4
T = TypeVar("T")


def npz(part: PartName, *, data_dir: str = "") -> Images:
    """Read train_images and train_labels, or test_images and test_labels.

    Images are uint8 of shape (N, H, W), (N, H, W, C) or (N, C, H, W): C is whichever of the
    second and the last axis is at most 4. Labels are integers of shape (N,) or (N, 1); those
    of the training part are 0 to K - 1, each at least once, and name the classes. For the
    training part only the shape of the test images is read; other arrays are passed over.

    Args:
        part: `train` or `test`.
        data_dir: file, or folder that holds no other .npz file.

    Raises:
        InputError: for a missing or damaged file or array, or a wrong kind, shape or label.
    """
    path = _file(data_dir)
    axes = {name: _axes(path, name) for name in ("train", "test")}
    sizes = {name: _size(path, name, shape) for name, shape in axes.items()}
    if sizes["train"] != sizes["test"]:
        raise InputError(
            f"{path}: train_images and test_images must be of one size, but are (C, H, W) = "
            f"{sizes['train']} and {sizes['test']}; bring them to one"
        )
    classes = _classes(path, _labels(path, "train", axes["train"][0]))
    labels = _labels(path, part, axes[part][0])
    if labels.min() < 0 or labels.max() >= len(classes):
        raise InputError(
            f"{path}: {part}_labels must lie in [0, {len(classes) - 1}], as those of training "
            f"do, but reach from {labels.min()} to {labels.max()}; correct them"
        )
    pixels = _read(path, f"{part}_images", _array).reshape(axes[part])
    if pixels.shape[1:] != sizes[part]:
        pixels = pixels.transpose(0, 3, 1, 2)
    return Images(np.ascontiguousarray(pixels), labels.astype(np.int64), classes)


def _file(data_dir: str) -> Path:
    if not data_dir:
        raise InputError("data_dir: npz needs a file, but none is given; set data_dir")
    path = Path(data_dir)
    if path.is_dir():
        found = sorted(path.glob("*.npz"))
        if len(found) != 1:
            raise InputError(
                f"{path}: must hold one .npz file, but holds {len(found)}; "
                "set data_dir to the file itself"
            )
        return found[0]
    if not path.is_file():
        raise InputError(f"{path}: no such file; set data_dir to an .npz file")
    return path


def _axes(path: Path, part: str) -> tuple[int, ...]:
    """Return the shape of a part's images, with one channel where they have none, unread."""
    key = f"{part}_images"
    shape, kind = _read(path, key, _header)
    if kind != np.uint8:
        raise InputError(f"{path}: {key} must be uint8 in [0, 255], but is {kind}; convert it")
    if len(shape) not in (3, 4) or 0 in shape:
        raise InputError(
            f"{path}: {key} must have the shape (N, H, W), (N, H, W, C) or (N, C, H, W) with at "
            f"least one image, but has {shape}; reshape it"
        )
    return shape if len(shape) == 4 else (*shape, 1)


def _size(path: Path, part: str, axes: tuple[int, ...]) -> tuple[int, int, int]:
    """Return (C, H, W), which says where the channels were."""
    _, second, third, last = axes
    if (second <= _MOST_CHANNELS) == (last <= _MOST_CHANNELS):
        raise InputError(
            f"{path}: {part}_images must have 1 to {_MOST_CHANNELS} channels in either the second "
            f"or the last axis and larger images, but has the shape {axes}; reshape it"
        )
    return (second, third, last) if second <= _MOST_CHANNELS else (last, second, third)


def _labels(path: Path, part: str, count: int) -> NDArray[Any]:
    key = f"{part}_labels"
    labels = _read(path, key, _array)
    if labels.dtype.kind not in "iu":
        raise InputError(f"{path}: {key} must be integers, but is {labels.dtype}; convert it")
    if labels.shape not in ((count,), (count, 1)):
        raise InputError(
            f"{path}: {key} must have the shape ({count},) or ({count}, 1), one label for each "
            f"image, but has {labels.shape}; correct it"
        )
    return labels.reshape(count)


def _classes(path: Path, labels: NDArray[Any]) -> tuple[str, ...]:
    found = np.unique(labels).tolist()
    if len(found) < 2 or found != list(range(len(found))):
        raise InputError(
            f"{path}: train_labels must be 0 to K - 1 with every class of at least 2 present, "
            f"but are {len(found)} numbers from {found[0]} to {found[-1]}; number them anew"
        )
    return tuple(map(str, found))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    first = npy.read_magic(file) == (1, 0)  # later versions have a longer length field
    read = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
    shape, _, kind = read(file)
    return shape, kind


def _array(file: IO[bytes]) -> NDArray[Any]:
    return npy.read_array(file, allow_pickle=False)


def _read(path: Path, key: str, what: Callable[[IO[bytes]], T]) -> T:
    """Return what is asked of one array of the file: its header, or all of it."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
            return what(file)
    except KeyError:
        raise InputError(
            f"{path}: must hold train_images, train_labels, test_images and test_labels, but "
            f"{key} is missing; add it under this name"
        ) from None
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: {key} can't be read ({first_line(error)}); write it anew"
        ) from None
