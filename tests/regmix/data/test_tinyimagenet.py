import shutil

import numpy as np
import pytest
from PIL import Image

from regmix.data.tinyimagenet import tinyimagenet
from regmix.errors import InputError

# as in the archive, wnids.txt is not sorted
NAMES = [f"n{1000 + 7 * number % 200:08}" for number in range(200)]


def paint(path, red, size=(64, 64), kind="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(kind, size, (red, 0, 0) if kind == "RGB" else red).save(path, quality=95)


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """The archive's layout with one training image of each class, as red as its number."""
    root = tmp_path_factory.mktemp("archive")
    (root / "wnids.txt").write_text("\n".join(NAMES) + "\n")
    for number, name in enumerate(sorted(NAMES)):
        paint(root / "train" / name / "images" / f"{name}_0.JPEG", number)
        (root / "train" / name / f"{name}_boxes.txt").write_text(f"{name}_0.JPEG\t0\t0\t63\t63\n")
    lines = []
    for number in (7, 0, 199):
        paint(root / "val" / "images" / f"val_{number}.JPEG", number)
        lines.append(f"val_{number}.JPEG\t{sorted(NAMES)[number]}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    return root


@pytest.fixture
def root(original, tmp_path):
    return shutil.copytree(original, tmp_path / "tiny")


def refused(root, part="train"):
    with pytest.raises(InputError) as told:
        tinyimagenet(part, data_dir=str(root))
    assert "\n" not in str(told.value)
    return str(told.value)


def reds(images):
    return images.images[:, 0].mean(axis=(1, 2))


def test_training_images_come_class_by_class(root):
    images = tinyimagenet("train", data_dir=str(root))
    assert images.images.shape == (200, 3, 64, 64)
    assert images.labels.tolist() == list(range(200))
    assert images.labels.dtype == np.int64
    assert images.classes == tuple(sorted(NAMES))
    assert abs(reds(images) - images.labels).max() <= 3  # JPEG loses a little


def test_the_test_part_is_val_with_the_labels_of_its_table(root):
    images = tinyimagenet("test", data_dir=str(root))
    assert images.labels.tolist() == [7, 0, 199]
    assert images.classes == tuple(sorted(NAMES))
    assert abs(reds(images) - images.labels).max() <= 3


@pytest.mark.parametrize(("part", "other"), [("train", "val"), ("test", "train")])
def test_either_part_is_read_without_the_other(root, part, other):
    before = tinyimagenet(part, data_dir=str(root)).fingerprint()
    shutil.rmtree(root / other)
    assert tinyimagenet(part, data_dir=str(root)).fingerprint() == before


def test_the_folder_in_which_the_archive_was_unpacked_is_as_good(root):
    direct = tinyimagenet("test", data_dir=str(root)).fingerprint()
    root.rename(root.parent / "tiny-imagenet-200")
    assert tinyimagenet("test", data_dir=str(root.parent)).fingerprint() == direct


def test_grey_images_get_three_channels(root):
    """About one in fifty of the real ones is grey."""
    paint(root / "val" / "images" / "val_7.JPEG", 77, kind="L")
    first = tinyimagenet("test", data_dir=str(root)).images[0]
    assert (first == 77).all()


def test_no_folder_given_or_none_there(tmp_path):
    assert "set data_dir" in refused("")
    message = refused(tmp_path / "nowhere")
    assert message.startswith(f"{tmp_path / 'nowhere' / 'wnids.txt'}: can't be read (No such file")
    assert "unpack tiny-imagenet-200.zip anew" in message


@pytest.mark.parametrize("names", [NAMES[1:], [*NAMES, "n09999999"], [NAMES[1], *NAMES[1:]]])
def test_the_list_of_classes_must_name_two_hundred(root, names):
    (root / "wnids.txt").write_text("\n".join(names))
    count = len(set(names))
    assert refused(root).startswith(
        f"{root / 'wnids.txt'}: must name 200 classes, but names {count}; unpack"
    )


@pytest.mark.parametrize(
    ("file", "part"), [("wnids.txt", "train"), ("val/val_annotations.txt", "test")]
)
def test_lists_that_are_no_text_are_named(root, file, part):
    (root / file).write_bytes(b"\xff\xfe\x80 no text")
    assert refused(root, part).startswith(f"{root / file}: can't be read (not text); unpack")


def test_a_class_without_images_is_named(root):
    folder = root / "train" / NAMES[3] / "images"
    shutil.rmtree(folder)
    assert refused(root) == (
        f"{folder}: must hold images *.JPEG, but has none; unpack tiny-imagenet-200.zip anew"
    )


@pytest.mark.parametrize("line", ["val_3.JPEG\tn99999999\t0\t0\t1\t1", "val_3.JPEG", ""])
def test_a_wrong_line_of_vals_table_is_named_with_its_number(root, line):
    table = root / "val" / "val_annotations.txt"
    table.write_text(table.read_text() + line + "\n")
    message = refused(root, "test")
    assert message.startswith(f"{table}:4: must be an image, a tab and a class of wnids.txt, but")
    assert repr(line) in message


def test_an_empty_table_is_named(root):
    table = root / "val" / "val_annotations.txt"
    table.write_text("")
    assert refused(root, "test").startswith(f"{table}: must name the images of val/, but is empty")
    table.unlink()
    assert refused(root, "test").startswith(f"{table}: can't be read (No such file")


def test_a_damaged_or_missing_image_is_named(root):
    path = root / "val" / "images" / "val_0.JPEG"
    path.write_bytes(path.read_bytes()[:100])
    assert refused(root, "test").startswith(f"{path}: not a readable image")
    path.unlink()
    assert refused(root, "test").startswith(f"{path}: can't be read (No such file")


def test_images_of_another_size_are_named(root):
    for number in (7, 0, 199):
        paint(root / "val" / "images" / f"val_{number}.JPEG", 0, size=(32, 48))
    path = root / "val" / "images" / "val_7.JPEG"
    assert refused(root, "test").startswith(f"{path}: must be 64x64 pixels, but is 32x48; unpack")
