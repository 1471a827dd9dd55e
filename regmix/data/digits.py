"""Handwritten digits, 8x8: they come with scikit-learn, so nothing is downloaded."""

import gzip
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regmix.images import Images, PartName, stratified_order

_TEST_IMAGES = 400
_FILE = Path("datasets") / "data" / "digits.csv.gz"  # in scikit-learn's folder


def digits(part: PartName) -> Images:
    """Return 1,397 training or 400 test images of shape (1, 8, 8).

    Source: Alpaydin and Kaynak, UCI "Optical Recognition of Handwritten Digits", of which
    scikit-learn ships 1,797 images without a division; ours is stratified and never changes.
    """
    grey, labels = _shipped()
    pixels = np.round(grey * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    everything = Images(pixels, labels.astype(np.int64), tuple("0123456789"))
    order = stratified_order(everything.labels, np.random.default_rng(0))
    test, train = order[:_TEST_IMAGES], order[_TEST_IMAGES:]
    kept, other = (test, train) if part == "test" else (train, test)
    return replace(everything.take(np.sort(kept)), other=len(other))


def _shipped() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the file's rows: pixels (1797, 64), 0 to 16, and labels (1797,).

    `sklearn.datasets` is asked only where the file lies elsewhere: it loads SciPy and pandas,
    which takes a command most of a second.
    """
    found = find_spec("sklearn")  # without importing it
    for folder in (found and found.submodule_search_locations) or ():
        file = Path(folder) / _FILE
        if file.is_file():
            with gzip.open(file, "rt", encoding="ascii") as text:
                rows = np.loadtxt(text, delimiter=",", dtype=np.int64)
            return rows[:, :-1].astype(np.float64), rows[:, -1]
    from sklearn.datasets import load_digits

    grey, labels = load_digits(return_X_y=True)
    return grey, labels
