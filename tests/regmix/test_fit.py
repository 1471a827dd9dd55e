"""Bounds that the images set: told before a search, with the place that a value was written in."""

import numpy as np
import pytest

from pipeline.problem.problem import SearchProblem
from regmix.config import TrainConfig
from regmix.errors import InputError
from regmix.fit import check_fit
from regmix.images import Images
from tests.support.processes import call

FLAT = {"data": "digits", "model": "small_cnn", "attack": "fgsm", "loss": "plain"}


def images(classes, size=8):
    labels = np.arange(classes * 3, dtype=np.int64) % classes
    pixels = np.zeros((len(labels), 1, size, size), np.uint8)
    return Images(pixels, labels, tuple(map(str, range(classes))))


def fits(classes=10, size=8, **changes):
    check_fit(TrainConfig.from_flat({**FLAT, **changes}), images(classes, size))


@pytest.mark.parametrize("classes", [2, 3, 10, 100, 200])
def test_a_label_counts_more_than_any_other_class(classes):
    fits(classes, true_class_mass=1.01 / classes)
    for mass in (1 / classes, 0.5 / classes, 1e-9):
        with pytest.raises(InputError, match=f"true_class_mass must be above 1/{classes} = "):
            fits(classes, true_class_mass=mass)


@pytest.mark.parametrize("size", [1, 4, 7])
def test_a_crop_that_would_crop_nothing_is_refused(size):
    with pytest.raises(InputError, match=f"at least 8x8 .* but they are {size}x{size}"):
        fits(size=size, augment="crop_flip")
    fits(size=size)
    fits(size=8, augment="crop_flip")


@pytest.mark.parametrize(
    ("search", "low"),
    [("{float: [0.05, 1]}", 0.05), ("{float: [0.1, 1]}", 0.1), ("{choice: [0.9, 0.02]}", 0.02)],
)
def test_every_end_of_a_range_is_held_against_the_classes(tmp_path, search, low):
    space = tmp_path / "mine.yaml"
    space.write_text(f"loss: plain\nsearch:\n  true_class_mass: {search}\n")
    problem = SearchProblem.load(str(space), "digits", {"valid_images": 3})
    with pytest.raises(InputError) as told:
        problem.check_fit(images(10))
    assert f"{space}: search: true_class_mass must be above 1/10 = 0.1 with 10" in str(told.value)
    assert f"but is {low:g}," in str(told.value)
    problem.check_fit(images(100 if low > 0.02 else 51))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("true_class_mass=0.1", "--set: true_class_mass must be above 1/10 = 0.1"),
        ("train_images=1", "each of the 10 classes must have an image to train on, but 9 have"),
    ],
)
def test_a_search_is_refused_before_it_has_a_study(tmp_path, setting, said):
    typed = ("--recipe", "digits", "--runs", tmp_path, "--set", "valid_images=100", setting)
    assert said in call("search", *typed).one_line
