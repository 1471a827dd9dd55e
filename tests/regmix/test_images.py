from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regmix.errors import InputError
from regmix.images import Images, split, stratified_order


def numbered(labels):
    """Images that all differ: the pixels spell the image's number."""
    labels = np.asarray(labels, np.int64)
    count = np.arange(len(labels))
    pixels = np.stack([count // 256, count % 256], axis=1).astype(np.uint8)
    return Images(pixels.reshape(-1, 1, 1, 2), labels, tuple("abc"))


def numbers(images):
    high, low = images.images.reshape(-1, 2).astype(int).T
    return set((high * 256 + low).tolist())


@pytest.fixture
def hundred():
    """60 of the first class, 30 of the second and 10 of the third."""
    return numbered([0] * 60 + [1] * 30 + [2] * 10)


@pytest.mark.parametrize("train", [None, 50, 80])
def test_train_and_valid_share_no_image_and_keep_their_labels(hundred, train):
    parts = split(hundred, valid=20, train=train, seed=0)
    assert (len(parts.train), len(parts.valid)) == (train or 80, 20)
    assert len(numbers(parts.train) | numbers(parts.valid)) == (train or 80) + 20
    for part in (parts.train, parts.valid):
        assert all(
            hundred.labels[n] == k for n, k in zip(sorted(numbers(part)), part.labels, strict=True)
        )


@pytest.mark.parametrize("seed", range(5))
def test_both_parts_hold_the_classes_in_proportion(hundred, seed):
    parts = split(hundred, valid=20, train=50, seed=seed)
    for part, expected in ((parts.valid, (12, 6, 2)), (parts.train, (30, 15, 5))):
        counts = Counter(part.labels.tolist())
        assert all(abs(counts[label] - n) <= 1 for label, n in enumerate(expected))


def test_same_seed_same_split_and_another_seed_another(hundred):
    one, again, other = (split(hundred, valid=20, train=50, seed=seed) for seed in (1, 1, 2))
    assert one.train.fingerprint() == again.train.fingerprint()
    assert one.valid.fingerprint() == again.valid.fingerprint()
    assert numbers(one.valid) != numbers(other.valid)


def test_what_is_held_out_does_not_depend_on_how_many_are_trained_on(hundred):
    few, many, every = (split(hundred, valid=20, train=train, seed=3) for train in (10, 70, None))
    assert few.valid.fingerprint() == many.valid.fingerprint() == every.valid.fingerprint()
    assert numbers(few.train) < numbers(many.train) < numbers(every.train)


@pytest.mark.parametrize(("valid", "train"), [(100, None), (101, None), (20, 81), (99, 2)])
def test_more_than_there_are_is_refused(hundred, valid, train):
    with pytest.raises(InputError, match="must fit into 100 training images") as told:
        split(hundred, valid=valid, train=train, seed=0)
    assert f"{valid} + {train or 1}" in str(told.value)
    assert "\n" not in str(told.value)


def test_exactly_as_many_as_there_are_is_allowed(hundred):
    alike = replace(hundred, classes=("a",), labels=0 * hundred.labels)
    parts = split(alike, valid=99, train=1, seed=0)
    assert numbers(parts.train) | numbers(parts.valid) == set(range(100))


@pytest.mark.parametrize(("valid", "train", "short"), [(20, 1, 2), (98, 2, 2), (20, 2, 1)])
def test_a_class_without_an_image_to_train_on_is_named(hundred, valid, train, short):
    with pytest.raises(InputError) as told:
        split(hundred, valid=valid, train=train, seed=0)
    assert "each of the 3 classes must have an image to train on" in str(told.value)
    assert f"but {short} have none, such as '" in str(told.value)


@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    valid=st.integers(1, 20),
    train=st.none() | st.integers(1, 20),
    seed=st.integers(0, 50),
)
def test_a_split_either_trains_on_every_class_or_is_refused(sizes, valid, train, seed):
    """Also where a class has a single image, which chance may hold out."""
    images = numbered(np.repeat(np.arange(len(sizes)), sizes))
    images = replace(images, classes=tuple("abcde"[: len(sizes)]))
    try:
        parts = split(images, valid=valid, train=train, seed=seed)
    except InputError:
        return
    assert set(parts.train.labels.tolist()) == set(range(len(sizes)))


@pytest.mark.parametrize("seed", range(3))
def test_finalists_have_the_images_of_every_trial_and_more(hundred, seed):
    """Nested and stratified, also a part of what is more; none of it is trained on."""
    parts = split(hundred, valid=20, train=None, seed=seed, held_out=60)
    alone = split(hundred, valid=20, train=None, seed=seed)
    assert parts.valid.fingerprint() == alone.valid.fingerprint()
    assert alone.further is None and alone.held_out is alone.valid
    assert numbers(parts.train) | numbers(parts.held_out) == set(range(100))
    assert not numbers(parts.train) & numbers(parts.held_out)
    assert (parts.held_out.labels[:20] == parts.valid.labels).all()
    assert len(numbers(parts.held_out)) == len(parts.held_out) == 60
    for count in (30, 45, 60):
        found = Counter(parts.held_out.labels[:count].tolist())
        shares = (0.6 * count, 0.3 * count, 0.1 * count)
        assert all(abs(found[label] - share) <= 1.5 for label, share in enumerate(shares))
    assert parts.nbytes == hundred.images.nbytes


def test_more_than_there_are_is_refused_for_finalists_too(hundred):
    with pytest.raises(InputError) as told:
        split(hundred, valid=20, train=None, seed=0, held_out=100)
    assert "finalist_images + train_images must fit into 100" in str(told.value)
    assert "are 100 + 1; lower one of them" in str(told.value)


def test_the_split_leaves_the_whole_as_it_was(hundred):
    before = hundred.fingerprint()
    split(hundred, valid=20, train=50, seed=0)
    assert hundred.fingerprint() == before


@given(
    labels=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    seed=st.integers(0, 1000),
    data=st.data(),
)
def test_every_beginning_of_a_stratified_order_is_in_proportion(labels, seed, data):
    labels = np.array(labels)
    order = stratified_order(labels, np.random.default_rng(seed))
    assert sorted(order.tolist()) == list(range(len(labels)))
    first = data.draw(st.integers(1, len(labels)))
    for label in set(labels.tolist()):
        share = first * (labels == label).sum() / len(labels)
        # the beginning's length itself may be off by one for each of the four classes
        assert abs((labels[order[:first]] == label).sum() - share) < 1 + 4 / 2


def test_the_first_images_are_a_stratified_choice_that_never_changes(hundred):
    chosen = hundred.first(20)
    counts = Counter(chosen.labels.tolist())
    assert all(abs(counts[label] - n) <= 1 for label, n in enumerate((12, 6, 2)))
    assert hundred.first(20).fingerprint() == chosen.fingerprint()
    assert hundred.first(100).fingerprint() == hundred.fingerprint()
    with pytest.raises(InputError, match="--images must be at most 100, but is 101; lower it"):
        hundred.first(101)


def test_taking_keeps_the_order_asked_for(hundred):
    taken = hundred.take(np.array([70, 5]))
    assert taken.labels.tolist() == [1, 0]
    assert taken.images[:, 0, 0, 1].tolist() == [70, 5]


def with_pixel(images):
    images.images[3, 0, 0, 0] += 1


def with_label(images):
    images.labels[3] = 2


def with_order(images):
    images.images[[1, 2]] = images.images[[2, 1]]


@pytest.mark.parametrize("change", [with_pixel, with_label, with_order])
def test_a_fingerprint_changes_with_any_pixel_label_or_order(change):
    one, other = numbered([0, 0, 0, 1, 1]), numbered([0, 0, 0, 1, 1])
    assert one.fingerprint() == other.fingerprint()
    change(other)
    assert one.fingerprint() != other.fingerprint()


def test_a_fingerprint_changes_with_shape_and_classes():
    one = numbered([0, 1])
    turned = Images(one.images.reshape(2, 1, 2, 1), one.labels, one.classes)
    renamed = Images(one.images, one.labels, tuple("abd"))
    prints = {images.fingerprint() for images in (one, turned, renamed)}
    assert len(prints) == 3
    assert all(len(digits) == 16 and int(digits, 16) >= 0 for digits in prints)


def test_a_fingerprint_is_of_the_values_and_not_of_their_layout():
    one = numbered([0, 1, 2, 1])
    striped = Images(one.images[::2], one.labels[::2], one.classes)
    copied = Images(one.images[::2].copy(), one.labels[::2].copy(), one.classes)
    assert striped.fingerprint() == copied.fingerprint()
