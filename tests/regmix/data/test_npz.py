import warnings
import zipfile

import numpy as np
import pytest

from regmix.data.npz import npz
from regmix.errors import InputError

DRAW = np.random.default_rng(0)
TRAIN = DRAW.integers(0, 256, (6, 8, 9, 3), dtype=np.uint8)
TEST = DRAW.integers(0, 256, (4, 8, 9, 3), dtype=np.uint8)
ARRAYS = {
    "train_images": TRAIN,
    "train_labels": np.array([2, 0, 1, 1, 0, 2]),
    "test_images": TEST,
    "test_labels": np.array([1, 1, 0, 2]),
}


def store(folder, **changes):
    path = folder / "mine.npz"
    np.savez_compressed(path, **{**ARRAYS, **changes})
    return path


def refused(path, part="train"):
    with pytest.raises(InputError) as told:
        npz(part, data_dir=str(path))
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize(("part", "pixels"), [("train", TRAIN), ("test", TEST)])
def test_channels_may_come_first_or_last(tmp_path, part, pixels):
    last = npz(part, data_dir=str(store(tmp_path)))
    turned = {f"{name}_images": ARRAYS[f"{name}_images"].transpose(0, 3, 1, 2) for name in
              ("train", "test")}  # fmt: skip
    first = npz(part, data_dir=str(store(tmp_path, **turned)))
    for images in (last, first):
        assert images.images.shape == (len(pixels), 3, 8, 9)
        assert images.images.dtype == np.uint8
        assert images.images[3, 1, 7, 2] == pixels[3, 7, 2, 1]
        assert images.labels.tolist() == ARRAYS[f"{part}_labels"].tolist()
        assert images.labels.dtype == np.int64
        assert images.classes == ("0", "1", "2")
    assert first.fingerprint() == last.fingerprint()


def test_images_without_channels_are_grey(tmp_path):
    grey = {"train_images": TRAIN[..., 0], "test_images": TEST[..., 0]}
    images = npz("train", data_dir=str(store(tmp_path, **grey))).images
    assert np.array_equal(images, TRAIN[:, None, :, :, 0])


def test_a_file_of_medmnists_form_is_read(tmp_path):
    """Labels (N, 1) of uint8, and a val part that is nobody's."""
    labels = {f"{part}_labels": ARRAYS[f"{part}_labels"].astype(np.uint8)[:, None] for part in
              ("train", "test")}  # fmt: skip
    path = store(tmp_path, **labels, val_images=TEST, val_labels=labels["test_labels"])
    assert npz("test", data_dir=str(path)).labels.tolist() == [1, 1, 0, 2]
    assert npz("train", data_dir=str(path)).labels.dtype == np.int64


def test_a_folder_stands_for_the_one_file_in_it(tmp_path):
    store(tmp_path)
    assert len(npz("train", data_dir=str(tmp_path))) == 6
    store(tmp_path).rename(tmp_path / "other.npz")
    store(tmp_path)
    assert refused(tmp_path).startswith(f"{tmp_path}: must hold one .npz file, but holds 2")


def test_a_missing_file_is_named(tmp_path):
    assert "but none is given; set data_dir" in refused("")
    assert refused(tmp_path) == (
        f"{tmp_path}: must hold one .npz file, but holds 0; set data_dir to the file itself"
    )
    lost = tmp_path / "lost.npz"
    assert refused(lost) == (
        f"{lost}: can't be read (No such file or directory); set data_dir to an .npz file"
    )


def spoil(path, key):
    """Replace one array by bytes that are none."""
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, b"no array" if name == f"{key}.npy" else content)


@pytest.mark.parametrize("key", ["test_images", "test_labels"])
def test_training_reads_no_more_of_the_test_part_than_a_shape(tmp_path, key):
    path = tmp_path / "mine.npz"
    many = {"test_images": np.repeat(TEST, 20, 0), "test_labels": np.repeat([1, 1, 0, 2], 20)}
    np.savez(path, **{**ARRAYS, **many})
    content = bytearray(path.read_bytes())
    content[content.rindex(many[key].tobytes()) + 99] ^= 255  # who reads it all will notice
    path.write_bytes(content)
    assert len(npz("train", data_dir=str(path))) == 6
    assert f"{key} can't be read" in refused(path, "test")


@pytest.mark.parametrize("key", ["train_images", "train_labels"])
def test_an_array_that_is_none_is_named(tmp_path, key):
    path = store(tmp_path)
    spoil(path, key)
    assert refused(path).startswith(f"{path}: {key} can't be read (")


@pytest.mark.parametrize("content", [b"", b"PK no archive", b"x" * 500])
def test_a_file_that_is_no_archive_is_named(tmp_path, content):
    path = tmp_path / "mine.npz"
    path.write_bytes(content)
    assert refused(path).startswith(f"{path}: train_images can't be read (")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_half_a_file_is_named(tmp_path, share):
    path = store(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "can't be read" in refused(path)


@pytest.mark.parametrize("compress", [np.savez, np.savez_compressed])
def test_a_flipped_byte_is_noticed(tmp_path, compress):
    path = tmp_path / "mine.npz"
    compress(path, **ARRAYS)
    content = bytearray(path.read_bytes())
    content[500] ^= 255  # of the first array's pixels
    path.write_bytes(content)
    assert "train_images can't be read" in refused(path)


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was loaded",))

    objects = np.empty(6, object)
    objects[:] = [Trap()] * 6
    assert "must be integers, but is object" in refused(store(tmp_path, train_labels=objects))
    assert "must be uint8" in refused(store(tmp_path, train_images=objects))


@pytest.mark.parametrize("key", sorted(ARRAYS))
def test_a_missing_array_is_named(tmp_path, key):
    path = tmp_path / "mine.npz"
    np.savez(path, **{name: array for name, array in ARRAYS.items() if name != key})
    message = refused(path, "test" if key == "test_labels" else "train")
    assert f"but {key} is missing; add it under this name" in message


@pytest.mark.parametrize(
    ("changes", "part", "rule"),
    [
        ({"train_images": TRAIN / 255}, "train", "train_images must be uint8 in [0, 255], but is "
         "float64; round them, times 255"),
        ({"test_images": TEST.astype(int)}, "train", "test_images must be uint8"),
        ({"train_images": TRAIN[0, 0]}, "train", "must have the shape (N, H, W), (N, H, W, C) or "
         "(N, C, H, W) with at least one image, but has (9, 3); reshape it"),
        ({"train_images": TRAIN[:0]}, "train", "with at least one image, but has (0, 8, 9, 3)"),
        ({"train_images": TRAIN[..., [0] * 5]}, "train", "must have 1 to 4 channels in either the "
         "second or the last axis and larger images, but has the shape (6, 8, 9, 5)"),
        ({"train_images": TRAIN[:, :3]}, "train", "but has the shape (6, 3, 9, 3); reshape it"),
        ({"test_images": TEST[:, 1:]}, "train", "must be of one size, but are (C, H, W) = "
         "(3, 8, 9) and (3, 7, 9)"),
        ({"test_images": TEST[..., :1]}, "train", "(3, 8, 9) and (1, 8, 9); bring them to one"),
        ({"train_labels": np.arange(6.0)}, "train", "must be integers, but is float64"),
        ({"train_labels": np.arange(5)}, "train", "train_labels must have the shape (6,) or "
         "(6, 1), one label for each image, but has (5,)"),
        ({"test_labels": np.zeros((4, 3), int)}, "test", "but has (4, 3); take argmax(1) of one-"
         "hot labels"),
        ({"train_labels": np.array([1, 2, 3] * 2)}, "train", "train_labels must be 0 to K - 1 with "
         "every class of at least 2 present, but are 3 numbers from 1 to 3; number them anew"),
        ({"train_labels": np.array([0, 3, 1] * 2)}, "train", "but are 3 numbers from 0 to 3"),
        ({"train_labels": np.array([0] * 6)}, "train", "but are 1 numbers from 0 to 0"),
        ({"test_labels": np.array([0, 3, 1, 1])}, "test", "test_labels must lie in [0, 2], as "
         "those of training do, but reach from 0 to 3; correct them"),
        ({"test_labels": np.array([0, -1, 1, 1])}, "test", "but reach from -1 to 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_rule_value_and_remedy(tmp_path, changes, part, rule):
    path = store(tmp_path, **changes)
    with warnings.catch_warnings(action="error"):
        message = refused(path, part)
    assert message.startswith(f"{path}: ")
    assert rule in message


def test_arrays_that_are_left_out_are_said(tmp_path):
    images = npz("train", data_dir=str(store(tmp_path)))
    assert "left out" not in images.described("train")
    images = npz("train", data_dir=str(store(tmp_path, val_images=TEST, val_labels=TEST[:, 0, 0])))
    assert "left out: 2 other arrays ('val_images', 'val_labels')" in images.described("train")
