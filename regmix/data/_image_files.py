"""Image files as one array of 8 bits: what each kind of file means, or that it is refused."""

import contextlib
import os
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from regmix.cores import usable_cores
from regmix.data._kept import Kept, Kind
from regmix.data._memory import check_memory
from regmix.errors import InputError, first_line
from regmix.images import is_grey
from regmix.progress import Phase, tell
from regmix.user_files import regular_file

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

SUFFIXES = frozenset({".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib"}) | {
    *(".webp", ".ppm", ".pgm", ".pbm", ".pnm", ".tif", ".tiff", ".gif")
}
"""Suffixes of the files that are read, in lower case."""
# of these formats alone, whatever a file is called: one of Pillow's others starts Ghostscript
_FORMATS = ("PNG", "JPEG", "BMP", "DIB", "WEBP", "PPM", "TIFF", "GIF")
# images that Pillow does not know; those that it knows are asked for
_UNREAD = frozenset({".heic", ".heif", ".jxl", ".svg", ".dcm", ".nii", ".exr", ".hdr", ".pdf"}) | {
    *(".raw", ".nef", ".cr2", ".arw", ".dng")
}
_BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*", b"\0\0\0\x0cjP")
_LARGEST = 2**26  # pixels of one image: an archive bomb is smaller than what it unpacks to
_GREY = frozenset({"1", "L", "LA", "La", "I;16", "I;16B", "I;16L", "I;16N", "I"})
_ERRORS = 2  # file descriptor of the error stream
_ORIENTATION = 0x0112  # EXIF's tag: 1 is upright, 5 to 8 lie on a side
# what Pillow raises depends on which byte of a file is wrong
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class Decoded:
    """Images as they were read.

    pixels: (N, 3, H, W); grey: (N,) bool, the images whose three channels are equal; turned:
    number of images that lay on a side or upside down, and were turned as their EXIF says.
    """

    pixels: NDArray[np.uint8]
    grey: NDArray[np.bool_]
    turned: int


def is_unread_image(path: Path) -> bool:
    """Return whether a file is an image, by its name or its first bytes, that is not read."""
    from PIL import Image

    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return False
    if suffix in _UNREAD or suffix in Image.registered_extensions():
        return True
    with open(regular_file(path), "rb") as file:
        beginning = file.read(12)
    return beginning.startswith(_BEGINNINGS) or (
        beginning[:4] == b"RIFF" and beginning[8:] == b"WEBP"
    )


def decode(root: Path, part: str, paths: Sequence[Path]) -> Decoded:
    """Read image files of one size; what was read is kept until one of them changes.

    Args:
        root: folder of the data set.
        part: name of the part that they are.
        paths: files of the images, at least one.

    Raises:
        InputError: for a file that is unreadable, of a kind that has no 8 bits without a loss, or
            of another size than the first.
    """
    with _silent():
        size = image_size(paths[0])
    shape = (len(paths), 3, size[1], size[0])
    check_memory(paths[0].parent, shape)
    kept = Kept.place(root, part, paths)
    known = kept.load([Kind(shape, np.uint8), Kind((len(paths), 2), np.bool_)])
    if known is not None:
        pixels, flags = known
        return Decoded(pixels, flags[:, 0], int(flags[:, 1].sum()))
    pixels, grey, turned = _decoded(paths, size)
    kept.store([pixels, np.stack([grey, turned], axis=1)])
    return Decoded(pixels, grey, int(turned.sum()))


def _decoded(
    paths: Sequence[Path], size: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return pixels (N, 3, H, W), and which images are grey and which were turned, (N,)."""
    pixels = np.empty((len(paths), 3, size[1], size[0]), np.uint8)
    grey, turned = np.empty(len(paths), np.bool_), np.empty(len(paths), np.bool_)

    def read(place: int) -> None:
        one, turned[place] = _pixels(paths[place])
        check_size(paths[place], (one.shape[2], one.shape[1]), size)
        pixels[place], grey[place] = one, is_grey(one)

    _for_each("images", read, len(paths))
    return pixels, grey, turned


def check_sizes(root: Path, part: str, paths: Sequence[Path], size: tuple[int, int]) -> None:
    """Raise InputError where an image has another size (W, H); their pixels stay unread.

    That all of them have it is kept until one of them changes.
    """
    kept, expected = Kept.place(root, f"sizes-of-{part}", paths), np.array(size)
    known = kept.load([Kind.of(expected)])
    if known is not None and np.array_equal(known[0], expected):
        return

    def check(place: int) -> None:
        check_size(paths[place], image_size(paths[place]), size)

    _for_each("sizes of images", check, len(paths))
    kept.store([expected])


def check_size(path: Path, found: tuple[int, int], size: tuple[int, int]) -> None:
    """Raise InputError where an image's size (W, H) is another one than the first image's."""
    if found != size:
        raise InputError(
            f"{path}: must be {size[0]}x{size[1]} pixels like the first image, but is "
            f"{found[0]}x{found[1]}; resize it"
        )


def all_grey(paths: Sequence[Path]) -> bool:
    """Return whether no image has colours; one that has ends the search."""
    with _silent():
        for path in paths:
            with _opened(path) as image:
                grey = image.mode in _GREY
            if not grey and not is_grey(_pixels(path)[0]):
                return False
    return True


def image_size(path: Path) -> tuple[int, int]:
    """Return (W, H) of an image as it is read, from its header alone."""
    with _opened(path) as image:
        width, height = image.size
        return (height, width) if _orientation(image) >= 5 else (width, height)


def _for_each(what: str, read: Callable[[int], None], count: int) -> None:
    """Call `read` with each number below `count`, and tell how many of `what` are done."""
    with ThreadPoolExecutor(usable_cores()) as pool, _silent():
        for done, _ in enumerate(pool.map(read, range(count), chunksize=256), start=1):
            tell(Phase(what, done, count, share=done / count))


@contextmanager
def _silent() -> Iterator[None]:
    """Keep Pillow's warnings to itself: they are of what is refused here, or is harmless.

    libtiff, which Pillow uses, writes beside Python to the process's own error stream.
    """
    with warnings.catch_warnings(), contextlib.ExitStack() as ended:
        warnings.simplefilter("ignore")
        with contextlib.suppress(OSError):  # the stream may be closed
            known = os.dup(_ERRORS)
            ended.callback(os.close, known)
            ended.callback(os.dup2, known, _ERRORS)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            ended.callback(os.close, nowhere)
            os.dup2(nowhere, _ERRORS)
        yield


@contextmanager
def _opened(path: Path) -> "Iterator[Picture]":
    """Open an image of a known format; any error within is that of a damaged file."""
    from PIL import Image, UnidentifiedImageError

    regular_file(path)
    try:
        with Image.open(path, formats=_FORMATS) as image:
            if image.width * image.height > _LARGEST:
                raise ValueError(f"{image.width}x{image.height} pixels")
            yield image
    except InputError:
        raise
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        known = not isinstance(error, UnidentifiedImageError)
        reason = first_line(error)[:100] if known else "its content is that of no image"
        raise InputError(f"{path}: not a readable image ({reason}); replace it") from None


def _orientation(image: "Picture") -> int:
    """Return EXIF's orientation, 1 to 8; of TIFF Pillow takes care itself."""
    if "exif" not in image.info:
        return 1
    found = image.getexif().get(_ORIENTATION, 1)
    return found if found in range(1, 9) else 1


def _pixels(path: Path) -> tuple[NDArray[np.uint8], bool]:
    """Return (3, H, W), and whether the image was turned as its EXIF says."""
    from PIL import ImageOps

    with _opened(path) as image:
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO: a preview
        if frames > 1:
            raise InputError(f"{path}: must be one image, but has {frames} frames; save only one")
        turned = _orientation(image) > 1
        upright = ImageOps.exif_transpose(image) if turned else image
        return _eight_bits(path, upright, image.format or ""), turned


def _eight_bits(path: Path, image: "Picture", kind: str) -> NDArray[np.uint8]:
    """Return (3, H, W) of an image of any mode, by that mode's own range."""
    if image.mode.startswith("I;16") or (image.mode == "I" and kind in ("PNG", "PPM")):
        if "transparency" in image.info:
            raise _transparent(path)
        wide = np.asarray(image).astype(np.float64)
        grey = np.round(wide / 257).astype(np.uint8)  # 65535 = 257 * 255
        return np.stack([grey] * 3)
    if image.mode in ("I", "F"):
        raise InputError(
            f"{path}: has 32 bits a pixel, and nothing says their range; save it with 8 or 16 bits"
        )
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if np.asarray(image)[..., 3].min() < 255:
            raise _transparent(path)
    return np.asarray(image.convert("RGB"), np.uint8).transpose(2, 0, 1)


def _transparent(path: Path) -> InputError:
    return InputError(
        f"{path}: is transparent in places, and nothing says what lies behind; put it on a "
        "background, and save it without an alpha channel"
    )
