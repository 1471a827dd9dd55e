"""Whatever a data set returns is looked at once; numbers that mean nothing are refused."""

import io
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from regmix.data.digits import digits
from regmix.errors import LONGEST, InputError
from regmix.images import Images
from regmix.plugins import Plugins, install
from regmix.reading import read_part
from tests.support.plugin_folders import own_registry, written

DRAW = np.random.default_rng(0)
PIXELS = DRAW.integers(0, 256, (40, 8, 8), dtype=np.uint8)
LABELS = np.arange(40) % 4
PLUGIN = """\
import numpy as np
from regmix.images import Images


def mine(part):
    images = np.full((6, 1, 4, 4), 200, np.uint8)
    labels = np.arange(6) % 3
    classes = tuple("abc")
    {}
"""


def store(folder, pixels=PIXELS, labels=LABELS, **more):
    path = folder / "mine.npz"
    arrays = {"train_images": pixels, "train_labels": labels, "test_images": pixels}
    np.savez(path, **{**arrays, "test_labels": labels, **more})
    return path


def refused(path, part="train"):
    with pytest.raises(InputError) as told:
        read_part("npz", {"data_dir": str(path)}, part)
    assert len(str(told.value)) <= LONGEST
    assert str(told.value).startswith(f"{path}: ")
    return str(told.value)


def test_digits_in_one_line():
    line = read_part("digits", {}, "train").described("train")
    assert line == "read 1,397 training images, 10 classes, 8x8 grey; 400 test images stay unread"
    assert read_part("digits", {}, "test").described("test") == (
        "read 400 test images, 10 classes, 8x8 grey"
    )


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("most", [0, 1])
def test_pixels_of_zero_and_one_are_refused(tmp_path, part, most):
    line = refused(store(tmp_path, (PIXELS > 99) * np.uint8(most)), part)
    assert f"the brightest pixel of the {part} part must be above 1 of 255, but is {most}" in line
    assert "times 255" in line


@pytest.mark.parametrize(
    ("pixels", "remedy"),
    [
        (PIXELS / 255, "times 255"),
        ((PIXELS / 255).astype(np.float16), "times 255"),
        (PIXELS > 99, "times 255"),
        (PIXELS.astype(np.uint16), "divide them by 257"),
        (PIXELS.astype(np.int64), "convert them to uint8"),
        (PIXELS.astype(np.int8), "convert them to uint8"),
        (PIXELS.astype(complex), "store numbers of the type uint8"),
        (PIXELS.astype(str), "store numbers of the type uint8"),
    ],
)
@pytest.mark.parametrize("which", ["train_images", "test_images"])
def test_every_other_kind_of_pixel_is_refused_with_its_remedy(tmp_path, pixels, remedy, which):
    line = refused(store(tmp_path, **{which: pixels}) if which == "test_images" else
                   store(tmp_path, pixels, test_images=PIXELS))  # fmt: skip
    assert f"{which} must be uint8 in [0, 255], but is " in line and remedy in line


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LABELS.astype(float), "must be integers, but is float64; convert it to int64"),
        (LABELS > 1, "must be integers, but is bool; convert it to int64"),
        (np.eye(4, dtype=int)[LABELS], "take argmax(1) of one-hot labels"),
        (np.eye(4)[LABELS], "take argmax(1) of one-hot labels"),
        (LABELS - 1, "must be 0 to K - 1"),
        (LABELS + 1, "must be 0 to K - 1"),
        (LABELS.astype(np.uint64) * 2**62, "must be 0 to K - 1"),
        (LABELS.astype(str), "must be integers"),
    ],
)
def test_labels_that_are_none_are_refused_with_their_remedy(tmp_path, labels, said):
    assert said in refused(store(tmp_path, labels=labels))


def test_dark_images_and_constant_channels_are_said(tmp_path):
    colour = np.stack([PIXELS, PIXELS // 2, np.full_like(PIXELS, 255)], 1)
    line = read_part("npz", {"data_dir": str(store(tmp_path, colour))}, "train").described("train")
    assert line.endswith("; channel 3 of 3 is 255 everywhere")
    dark = read_part("npz", {"data_dir": str(store(tmp_path, PIXELS // 16))}, "train")
    assert dark.described("train").endswith("; the brightest pixel is 15 of 255")


def test_three_equal_channels_are_one(tmp_path):
    path = store(tmp_path, np.stack([PIXELS] * 3, 3))
    for part in ("train", "test"):
        images = read_part("npz", {"data_dir": str(path)}, part)
        assert np.array_equal(images.images, PIXELS[:, None])
        assert images.described(part).endswith("their three equal channels are taken as one")
    coloured = np.stack([PIXELS, PIXELS, 255 - PIXELS], 3)
    assert "test_images have colours" in refused(
        store(tmp_path, np.stack([PIXELS] * 3, 3), test_images=coloured), "test"
    )


def claimed(shape, kind="|u1", content=b"x" * 64):
    """An array whose header says what its content does not hold."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape!r}, }}"
    header = header.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + content


@pytest.mark.parametrize("key", ["train_images", "train_labels", "test_images"])
@pytest.mark.parametrize(
    "shape", [(10**9, 8, 8), (10**12, 32, 32, 3), (2**62, 2**62, 8), (40, 9, 9), (-3, 8, 8)]
)
def test_a_header_that_claims_more_than_there_is_takes_no_room(tmp_path, key, shape):
    path = store(tmp_path)
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    length = (shape[0],) if "labels" in key else shape
    kept[f"{key}.npy"] = claimed(length, "<i8" if "labels" in key else "|u1")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
    refused(path)


def test_a_bomb_is_not_unpacked(tmp_path):
    """A directory entry that says 100 GB, as its array does, of a few bytes."""
    path, shape = store(tmp_path), (10**11 // 64, 8, 8)
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    kept["train_images.npy"] = claimed(shape)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in kept.items():
            archive.writestr(name, content)
        archive.getinfo("train_images.npy").file_size = 128 + 10**11
    path.write_bytes(buffer.getvalue())
    assert "train_images can't be read (" in refused(path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return images", "must return Images, but returns ndarray"),
        (
            "return Images(images / 255, labels, classes)",
            "must be uint8 with 4 axes, but are float",
        ),
        ("return Images(images[:, 0], labels, classes)", "4 axes, but are uint8(6, 4, 4)"),
        ("return Images(images, labels.astype(float), classes)", "must be int64 with 1 axes, but"),
        ("return Images(images, labels.tolist(), classes)", "labels of the train part must be"),
        ("return Images(images, labels[:5], classes)", "must have one label for each image"),
        ("return Images(images[:0], labels[:0], classes)", "at least one of both"),
        ("return Images(images, labels - 1, classes)", "must lie in [0, 2]"),
        ("return Images(images, labels, classes[:2])", "must lie in [0, 1] for 2 classes"),
        ("return Images(images // 200, labels, classes)", "times 255"),
        ("return Images(images / 255, labels, classes)", "times 255 where they lie in [0, 1]"),
        ("return open('nowhere')", "mine.py:9: can't read the train part (FileNotFoundError: "),
    ],
)
def test_a_plug_ins_images_are_looked_at_too(tmp_path, body, said):
    written(tmp_path, {"data/mine.py": PLUGIN.format(body)})
    with own_registry(), pytest.raises(InputError) as told:
        install(Plugins.read(tmp_path))
        read_part("mine", {}, "train")
    assert said in str(told.value)


def test_a_plug_in_that_counts_nothing_is_described_too(tmp_path):
    written(tmp_path, {"data/mine.py": PLUGIN.format("return Images(images, labels, classes)")})
    with own_registry():
        install(Plugins.read(tmp_path))
        line = read_part("mine", {}, "train").described("train")
    assert line.startswith("read 6 training images, 3 classes, 4x4 grey; the test images stay unr")


def test_equal_channels_that_a_plug_in_gives_are_said(tmp_path):
    body = "return Images(np.repeat(images, 3, 1), labels, classes)"
    written(tmp_path, {"data/mine.py": PLUGIN.format(body)})
    with own_registry():
        install(Plugins.read(tmp_path))
        assert "; their three channels are equal, yet an attack may change them apart" in (
            read_part("mine", {}, "test").described("test")
        )


@given(st.lists(st.integers(0, 9), max_size=8), st.lists(st.integers(0, 9), max_size=8))
def test_images_that_both_parts_have_are_counted(mine, theirs):
    def part(numbers):
        pixels = np.array(numbers, np.uint8).reshape(-1, 1, 1, 1)
        return Images(pixels, np.zeros(len(numbers), np.int64), ("a",))

    assert part(mine).shared_with(part(theirs)) == sum(number in theirs for number in mine)


def test_digits_share_none():
    assert digits("test").shared_with(digits("train")) == 0
