"""Images in one .npz file, such as those of MedMNIST: four arrays with agreed names."""

import lzma
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from regmix.data._memory import check_memory
from regmix.errors import InputError, cut, first_line, shown
from regmix.images import Images, PartName, is_grey
from regmix.user_files import regular_file

_MOST_CHANNELS = 4
_DEFLATED = 1040  # bytes at most that one byte of deflate unpacks to
# what zipfile and numpy raise depends on which byte of a file is wrong
_DAMAGED = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    MemoryError,
    OverflowError,
    TypeError,
    SyntaxError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    tokenize.TokenError,
)
T = TypeVar("T")


def npz(part: PartName, *, data_dir: str = "") -> Images:
    """Read train_images and train_labels, or test_images and test_labels.

    Images are uint8 of shape (N, H, W), (N, H, W, C) or (N, C, H, W): C is whichever of the
    second and the last axis is at most 4. Labels are integers of shape (N,) or (N, 1); those
    of the training part are 0 to K - 1, each at least once, and name the classes. For the
    training part only the shape of the test images is read; other arrays are left out, which is
    said.

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
    for shape in axes.values():
        check_memory(path, shape)
    pixels = _pixels(path, part, axes[part], sizes[part])
    train = pixels if part == "train" else _pixels(path, "train", axes["train"], sizes["train"])
    remarks: tuple[str, ...] = ()
    if sizes[part][0] == 3 and is_grey(train):
        if not is_grey(pixels):
            raise InputError(
                f"{path}: test_images have colours, but no training image has; convert them to grey"
            )
        pixels, remarks = pixels[:, :1], ("their three equal channels are taken as one",)
    return Images(
        np.ascontiguousarray(pixels),
        labels.astype(np.int64),
        classes,
        other=axes["test" if part == "train" else "train"][0],
        left_out=_left_out(path),
        remarks=remarks,
    )


def _left_out(path: Path) -> tuple[str, ...]:
    """Return in words which arrays are not read, such as those of a third part."""
    known = {f"{part}_{kind}.npy" for part in ("train", "test") for kind in ("images", "labels")}
    with zipfile.ZipFile(path) as archive:
        names = sorted({*archive.namelist()} - known)
    if not names:
        return ()
    first = ", ".join(shown(name.removesuffix(".npy"), 30) for name in names[:3])
    return (
        f"{len(names):,} other array{'s' * (len(names) > 1)} ({first}{', ...' * (len(names) > 3)})",
    )


def _pixels(
    path: Path, part: str, axes: tuple[int, ...], size: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Return the images of a part as (N, C, H, W), perhaps not contiguous."""
    pixels: NDArray[np.uint8] = _read(path, f"{part}_images", _array).reshape(axes)
    return pixels if pixels.shape[1:] == size else pixels.transpose(0, 3, 1, 2)


def _file(data_dir: str) -> Path:
    if not data_dir:
        raise InputError("data_dir: npz needs a file, but none is given; set data_dir")
    path = Path(data_dir)
    if path.is_dir():
        found = sorted(path.glob("[!.]*.npz"))
        if len(found) != 1:
            raise InputError(
                f"{path}: must hold one .npz file, but holds {len(found)}; "
                "set data_dir to the file itself"
            )
        path = found[0]
    return regular_file(path, "set data_dir to an .npz file")


def _axes(path: Path, part: str) -> tuple[int, ...]:
    """Return the shape of a part's images, with one channel where they have none, unread."""
    key = f"{part}_images"
    shape, kind = _read(path, key, _header)
    if kind != np.uint8:
        raise InputError(
            f"{path}: {key} must be uint8 in [0, 255], but is {cut(str(kind))}; {_remedy(kind)}"
        )
    if len(shape) not in (3, 4) or 0 in shape:
        raise InputError(
            f"{path}: {key} must have the shape (N, H, W), (N, H, W, C) or (N, C, H, W) with at "
            f"least one image, but has {shape}; reshape it"
        )
    return shape if len(shape) == 4 else (*shape, 1)


def _remedy(kind: np.dtype[Any]) -> str:
    """Return how images of another kind become bytes."""
    if kind.kind == "f":
        return "round them, times 255 where they lie in [0, 1], and convert them to uint8"
    if kind.kind == "b":
        return "convert them to uint8, times 255"
    if kind == np.uint16:
        return "divide them by 257, round, and convert them to uint8"
    if kind.kind in "iu":
        return "convert them to uint8, where they lie in [0, 255]"
    return "store numbers of the type uint8"


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
    shape, kind = _read(path, key, _header)
    if shape not in ((count,), (count, 1)):
        hot = len(shape) == 2 and shape[0] == count
        remedy = "take argmax(1) of one-hot labels" if hot else "correct it"
        raise InputError(
            f"{path}: {key} must have the shape ({count},) or ({count}, 1), one label for each "
            f"image, but has {shown(shape)}; {remedy}"
        )
    if kind.kind not in "iu":
        raise InputError(
            f"{path}: {key} must be integers, but is {cut(str(kind))}; convert it to int64"
        )
    return _read(path, key, _array).reshape(count)


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


def _check_length(member: zipfile.ZipInfo, file: IO[bytes]) -> None:
    """Raise ValueError where a header claims another length than the file has.

    numpy takes room for what the header claims, and zlib unpacks what the archive claims.
    """
    shape, kind = _header(file)
    claimed = kind.itemsize * math.prod(shape)
    held = member.file_size - file.tell()
    if not kind.hasobject and claimed != held:
        raise ValueError(f"its header claims {claimed:,} bytes, but it holds {held:,}")
    deflated = member.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    if deflated and member.file_size > _DEFLATED * max(member.compress_size, 1):
        raise ValueError(f"{member.compress_size:,} bytes can't hold {member.file_size:,}")


def _read(path: Path, key: str, what: Callable[[IO[bytes]], T]) -> T:
    """Return what is asked of one array of the file: its header, or all of it."""
    try:
        with zipfile.ZipFile(path) as archive:
            member = archive.getinfo(f"{key}.npy")
            with archive.open(member) as file:
                _check_length(member, file)
            with archive.open(member) as file:
                return what(file)
    except KeyError:
        raise InputError(
            f"{path}: must hold train_images, train_labels, test_images and test_labels, but "
            f"{key} is missing; add it under this name"
        ) from None
    except _DAMAGED as error:
        raise InputError(
            f"{path}: {key} can't be read ({first_line(error)[:120]}); write it anew"
        ) from None
