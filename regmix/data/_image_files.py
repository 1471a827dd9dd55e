"""Image files as one array."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regmix.cores import usable_cores
from regmix.errors import InputError, first_line


def decode(paths: Sequence[Path]) -> NDArray[np.uint8]:
    """Read image files of one size as (N, 3, H, W); grey ones get three equal channels.

    Args:
        paths: files of the images, at least one.

    Raises:
        InputError: for a file that is unreadable or of another size than the first.
    """
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

    with ThreadPoolExecutor(usable_cores()) as pool:
        for _ in pool.map(read, range(len(paths)), chunksize=256):
            pass
    return images


def _pixels(path: Path) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"), np.uint8).transpose(2, 0, 1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: not a readable image ({first_line(error)}); replace it"
        ) from None
