"""Handwritten digits, 8x8: they come with scikit-learn, so nothing is downloaded."""

from dataclasses import replace

import numpy as np

from regmix.images import Images, PartName, stratified_order

_TEST_IMAGES = 400


def digits(part: PartName) -> Images:
    """Return 1,397 training or 400 test images of shape (1, 8, 8).

    Source: Alpaydin and Kaynak, UCI "Optical Recognition of Handwritten Digits", of which
    scikit-learn ships 1,797 images without a division; ours is stratified and never changes.
    """
    from sklearn.datasets import load_digits

    grey, labels = load_digits(return_X_y=True)  # 0 to 16
    pixels = np.round(grey * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    everything = Images(pixels, labels.astype(np.int64), tuple("0123456789"))
    order = stratified_order(everything.labels, np.random.default_rng(0))
    test, train = order[:_TEST_IMAGES], order[_TEST_IMAGES:]
    kept, other = (test, train) if part == "test" else (train, test)
    return replace(everything.take(np.sort(kept)), other=len(other))
