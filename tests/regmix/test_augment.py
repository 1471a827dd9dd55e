from collections import Counter

import pytest
import torch
from torch.nn import functional as F

from regmix.augment import crop_flip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def windows(image):
    """Every cut of a padded image, by (row, column, mirrored); the pixels of `image` differ."""
    _, height, width = image.shape
    down, right = height // 8, width // 8
    padded = F.pad(image, (right, right, down, down))
    for row in range(2 * down + 1):
        for column in range(2 * right + 1):
            cut = padded[:, row : row + height, column : column + width]
            yield (row, column, False), cut
            yield (row, column, True), cut.flip(2)


def found(height, width, count):
    """Which window each of `count` cuts of one random image is."""
    image = torch.rand(2, height, width, generator=generator(9))
    cuts = crop_flip(image.expand(count, -1, -1, -1), generator())
    assert cuts.shape == (count, 2, height, width)
    known = list(windows(image))
    matches = [[name for name, window in known if torch.equal(window, cut)] for cut in cuts]
    assert all(len(names) == 1 for names in matches)
    return Counter(names[0] for names in matches)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 16), (32, 32), (8, 24), (24, 8)])
def test_every_cut_is_one_window_of_the_padded_image_or_its_mirror(height, width):
    assert found(height, width, 40).total() == 40


def test_all_windows_and_both_mirrors_occur_about_as_often():
    counts = found(8, 8, 900)  # 9 windows, twice: 50 each are expected
    assert len(counts) == 18
    assert min(counts.values()) > 25
    assert max(counts.values()) < 80


def test_each_image_of_a_batch_is_cut_from_itself():
    images = torch.arange(1.0, 21.0).view(20, 1, 1, 1).expand(20, 1, 8, 8)
    cuts = crop_flip(images, generator())
    assert all(set(cut.unique().tolist()) <= {0.0, n} for n, cut in enumerate(cuts, start=1))


def test_same_generator_same_result():
    images = torch.rand(30, 1, 8, 8, generator=generator())
    one, again, other = (crop_flip(images, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_the_images_themselves_stay():
    images = torch.rand(10, 1, 8, 8, generator=generator())
    before = images.clone()
    crop_flip(images, generator())
    assert torch.equal(images, before)
