from collections import Counter

import pytest
import torch
from torch.nn import functional as F

from regmix.training.augment import Crop, crop_flip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cropped(images, generator):
    return crop_flip(images, generator).take(images)


def windows(image):
    """Every crop of a padded image, by (row, column, mirrored); the pixels of `image` differ."""
    _, height, width = image.shape
    down, right = height // 8, width // 8
    padded = F.pad(image, (right, right, down, down))
    for row in range(2 * down + 1):
        for column in range(2 * right + 1):
            crop = padded[:, row : row + height, column : column + width]
            yield (row, column, False), crop
            yield (row, column, True), crop.flip(2)


def found(height, width, count):
    """Which window each of `count` crops of one random image is."""
    image = torch.rand(2, height, width, generator=generator(9))
    crops = cropped(image.expand(count, -1, -1, -1), generator())
    assert crops.shape == (count, 2, height, width)
    known = list(windows(image))
    matches = [[name for name, window in known if torch.equal(window, crop)] for crop in crops]
    assert all(len(names) == 1 for names in matches)
    return Counter(names[0] for names in matches)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 16), (32, 32), (8, 24), (24, 8)])
def test_every_crop_is_one_window_of_the_padded_image_or_its_mirror(height, width):
    assert found(height, width, 40).total() == 40


def test_all_windows_and_both_mirrors_occur_about_as_often():
    counts = found(8, 8, 900)  # 9 windows, twice: 50 each are expected
    assert len(counts) == 18
    assert min(counts.values()) > 25
    assert max(counts.values()) < 80


def test_each_image_of_a_batch_is_cropped_from_itself():
    images = torch.arange(1.0, 21.0).view(20, 1, 1, 1).expand(20, 1, 8, 8)
    crops = cropped(images, generator())
    assert all(set(crop.unique().tolist()) <= {0.0, n} for n, crop in enumerate(crops, start=1))


def test_same_generator_same_result():
    images = torch.rand(30, 1, 8, 8, generator=generator())
    one, again, other = (cropped(images, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("size", [8, 4])  # 4 has no margin: there the padding is nothing
def test_the_images_themselves_stay(size):
    images = torch.rand(10, 1, size, size, generator=generator())
    before = images.clone()
    crop = crop_flip(images, generator())
    crop.put(crop.take(images) + 1, images)
    assert torch.equal(images, before)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (16, 24), (4, 9)])
def test_a_crop_goes_back_to_where_it_was_taken(height, width):
    images = torch.rand(30, 2, height, width, generator=generator())
    crop = crop_flip(images, generator(1))
    assert torch.equal(crop.put(crop.take(images), images), images)


def test_what_a_crop_does_not_show_stays_and_what_is_outside_the_image_is_lost():
    images = torch.rand(30, 2, 16, 16, generator=generator())
    crop, inside = crop_flip(images, generator(1)), torch.ones_like(images)
    shown = crop.put(inside, torch.zeros_like(images)).bool()
    assert 0.7 < shown.float().mean() < 0.95  # an offset of 1.2 pixels of 16 each way, on average
    put = crop.put(torch.full_like(images, 7.0), images)
    assert torch.equal(put, torch.where(shown, 7.0, images))
    there_and_back = crop.take(put)
    assert torch.equal(there_and_back, 7.0 * crop.take(inside))


def test_a_crop_by_hand():
    image = torch.arange(8.0).view(1, 1, 1, 8)  # one row: a margin of one at its sides alone
    crop = Crop(rows=torch.tensor([[0]]), columns=torch.arange(9, 1, -1)[None])
    assert crop.take(image).flatten().tolist() == [0, 7, 6, 5, 4, 3, 2, 1]
    fresh = crop.put(10 + image, torch.zeros_like(image))
    assert fresh.flatten().tolist() == [0, 17, 16, 15, 14, 13, 12, 11]
