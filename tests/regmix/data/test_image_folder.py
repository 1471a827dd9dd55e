import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from regmix.data.image_folder import image_folder
from regmix.errors import InputError


def paint(path, colour, size=(4, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    """Two classes of 4x3 images; what each shows follows from part, class and number."""
    for part in ("train", "test"):
        for name, red in (("zebra", 200), ("ant", 100)):
            for number in (1, 2):
                paint(tmp_path / part / name / f"{number}.png", (red, number, len(part)))
    return tmp_path


def refused(folder, part="train"):
    with pytest.raises(InputError) as told:
        image_folder(part, data_dir=str(folder))
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize(("part", "blue"), [("train", 5), ("test", 4)])
def test_pixels_and_labels_come_in_the_order_of_names(folder, part, blue):
    images = image_folder(part, data_dir=str(folder))
    assert images.classes == ("ant", "zebra")
    assert images.labels.tolist() == [0, 0, 1, 1]
    assert images.images.shape == (4, 3, 3, 4)  # 4 wide, 3 high
    assert images.images.dtype == np.uint8
    colours = [(100, 1, blue), (100, 2, blue), (200, 1, blue), (200, 2, blue)]
    for image, colour in zip(images.images, colours, strict=True):
        assert (image == np.array(colour)[:, None, None]).all()


def test_rows_are_rows_and_columns_are_columns(folder):
    pixels = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
    Image.fromarray(pixels).save(folder / "train" / "ant" / "0.png")
    first = image_folder("train", data_dir=str(folder)).images[0]
    assert np.array_equal(first, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".jpg", ".JPEG", ".webp", ".ppm"])
def test_formats_go_by_their_suffix_and_other_files_are_passed_over(folder, suffix):
    paint(folder / "train" / "ant" / f"3{suffix}", (100, 3, 5))
    (folder / "train" / "ant" / "readme.txt").write_text("not an image")
    (folder / "train" / "notes.txt").write_text("not a class")
    images = image_folder("train", data_dir=str(folder))
    assert Counter(images.labels.tolist()) == {0: 3, 1: 2}
    assert abs(int(images.images[2, 1, 0, 0]) - 3) <= 3  # some formats lose a little


def test_grey_images_get_three_channels(folder):
    Image.new("L", (4, 3), 77).save(folder / "train" / "ant" / "1.png")
    first = image_folder("train", data_dir=str(folder)).images[0]
    assert first.shape == (3, 3, 4)
    assert (first == 77).all()


def test_no_folder_given():
    assert "set data_dir" in refused("")


def test_a_missing_part_is_named(folder):
    shutil.rmtree(folder / "test")
    assert refused(folder).startswith(f"{folder / 'test'}: no such folder")
    assert refused(folder / "nowhere").startswith(f"{folder / 'nowhere' / 'train'}: no such")


def test_classes_that_differ_are_named(folder):
    paint(folder / "train" / "yak" / "1.png", (0, 0, 0))
    message = refused(folder)
    assert message.startswith(f"{folder}: train/ and test/ must have the same class folders")
    assert "['yak']" in message


def test_one_class_is_too_few(folder):
    for part in ("train", "test"):
        shutil.rmtree(folder / part / "ant")
    assert refused(folder).startswith(f"{folder / 'train'}: must hold at least 2 class folders")


def test_an_empty_class_is_named(folder):
    for path in (folder / "train" / "zebra").iterdir():
        path.unlink()
    assert refused(folder).startswith(f"{folder / 'train' / 'zebra'}: no image in this class")


def test_an_image_of_another_size_is_named_with_both_sizes(folder):
    odd = folder / "train" / "zebra" / "1.png"
    paint(odd, (0, 0, 0), size=(5, 3))
    assert refused(folder).startswith(f"{odd}: must be 4x3 pixels like the first image, but is 5x3")


def cut_short(content):
    return content[: len(content) // 2]


def emptied(content):
    return content[:0]


def overwritten(content):
    return b"x" * len(content)


@pytest.mark.parametrize("damage", [cut_short, emptied, overwritten])
@pytest.mark.parametrize("place", ["ant/1", "zebra/2"])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_a_damaged_image_is_named(folder, damage, place, suffix):
    path = folder / "train" / f"{place}{suffix}"
    (folder / "train" / f"{place}.png").unlink()
    paint(path, (100, 1, 5))
    path.write_bytes(damage(path.read_bytes()))
    assert refused(folder).startswith(f"{path}: not a readable image")


def test_an_image_that_claims_a_monstrous_size_is_named(folder):
    path = folder / "train" / "ant" / "0.bmp"
    paint(path, (100, 1, 5))
    content = bytearray(path.read_bytes())
    content[18:26] = (100_000).to_bytes(4, "little") * 2  # width and height in the header
    path.write_bytes(content)
    assert refused(folder).startswith(f"{path}: not a readable image")


def test_a_part_is_read_the_same_each_time(folder):
    prints = {image_folder("train", data_dir=str(folder)).fingerprint() for _ in range(3)}
    assert len(prints) == 1
