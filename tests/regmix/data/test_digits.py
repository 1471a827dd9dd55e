from collections import Counter
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.datasets import load_digits

from regmix.data.digits import digits


def rows(images):
    return Counter(image.tobytes() for image in images.images)


def test_shapes_kinds_and_range():
    for part, count in (("train", 1397), ("test", 400)):
        images = digits(part)
        assert images.images.shape == (count, 1, 8, 8)
        assert images.images.dtype == np.uint8
        assert images.labels.shape == (count,)
        assert images.labels.dtype == np.int64
        assert (images.images.min(), images.images.max()) == (0, 255)
        assert set(images.labels.tolist()) == set(range(10))
        assert images.classes == tuple("0123456789")


def test_train_and_test_divide_the_data_set():
    grey, labels = load_digits(return_X_y=True)
    whole = Counter(np.round(row * 255 / 16).astype(np.uint8).tobytes() for row in grey)
    assert rows(digits("train")) + rows(digits("test")) == whole
    both = [*digits("train").labels, *digits("test").labels]
    assert Counter(both) == Counter(labels.tolist())


def test_train_and_test_share_no_image():
    assert not rows(digits("train")) & rows(digits("test"))


def test_the_test_part_holds_every_class_in_proportion():
    whole = Counter(digits("train").labels.tolist()) + Counter(digits("test").labels.tolist())
    counts = Counter(digits("test").labels.tolist())
    assert all(abs(counts[label] - 400 * n / 1797) <= 1 for label, n in whole.items())


def test_the_division_never_changes():
    assert digits("test").fingerprint() == digits("test").fingerprint()
    assert digits("test").fingerprint() != digits("train").fingerprint()


@pytest.mark.parametrize("shipped", ["sklearn", "no such package"])
def test_it_is_read_without_scikit_learns_code_unless_its_file_lies_elsewhere(monkeypatch, shipped):
    """The loader takes a command most of a second; what is read is the same by both ways."""
    asked = []
    monkeypatch.setattr("regmix.data.digits.find_spec", lambda _: find_spec(shipped))
    monkeypatch.setattr(
        "sklearn.datasets.load_digits", lambda **how: asked.append(how) or load_digits(**how)
    )
    assert digits("train").fingerprint() == "cf2b2932fe55eb00"
    assert digits("test").fingerprint() == "a221bcf1d965d79f"
    assert bool(asked) == (shipped != "sklearn")
