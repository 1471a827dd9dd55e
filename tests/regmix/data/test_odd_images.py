"""Files that are not what they seem: read by their own range, left out aloud, or refused."""

import contextlib
import os
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from regmix.data.cifar10 import cifar10
from regmix.data.image_folder import image_folder
from regmix.data.tinyimagenet import tinyimagenet
from regmix.errors import LONGEST, InputError
from regmix.reading import read_part

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
COLOUR = np.stack([GREY, GREY + 10, 255 - GREY], 2)


def build(root, pixels=COLOUR, per_class=2):
    for part in ("train", "test"):
        for name in ("ant", "zebra"):
            place = root / part / name
            place.mkdir(parents=True)
            for number in range(per_class):
                own = pixels.copy()
                own[2, 3] = 60 * number + 10 * (name == "ant") + 100 * (part == "test")
                Image.fromarray(own).save(place / f"{number}.png")
    return root


@pytest.fixture
def folder(tmp_path):
    return build(tmp_path / "images")


def refused(folder, part="train", read=image_folder):
    with pytest.raises(InputError) as told:
        read(part, data_dir=str(folder))
    assert len(str(told.value)) <= LONGEST and "\n" not in str(told.value)
    return str(told.value)


def described(folder, part="train"):
    return read_part("image_folder", {"data_dir": str(folder)}, part).described(part)


def first_of(folder, picture, name="0.png", **how):
    """Read a folder whose first image is this one."""
    for old in (folder / "train" / "ant").iterdir():
        old.unlink()
    picture.save(folder / "train" / "ant" / name, **how)
    return image_folder("train", data_dir=str(folder)).images[0]


# ---- what lies in the folder


def test_one_line_says_what_was_read_and_what_was_not(folder):
    assert described(folder) == (
        "read 4 training images, 2 classes, 4x3 colour; 4 test images stay unread"
    )
    assert described(folder, "test") == "read 4 test images, 2 classes, 4x3 colour"
    shutil.copy(folder / "train" / "ant" / "0.png", folder / "train" / "zebra" / "1.png")
    assert described(folder).endswith("; 4 test images stay unread; 1 of them copies of others")
    (folder / "train" / "zebra" / "1.png").write_bytes((folder / "test/ant/0.png").read_bytes())
    for place in (".ipynb_checkpoints", "__MACOSX", "ant/.ipynb_checkpoints", "ant/empty"):
        (folder / "train" / place).mkdir()
    for place in (".DS_Store", "ant/Thumbs.db", "ant/._0.png", "ant/a.txt", "ant/b.txt", "list"):
        (folder / "train" / place).touch()
    Image.fromarray(COLOUR).save(folder / "train" / ".ipynb_checkpoints" / "0-checkpoint.png")
    line = described(folder)
    assert line.startswith("read 4 training images, 2 classes, 4x3 colour; 4 test images stay")
    for words in ("3 hidden folders", "3 hidden files", "2 .txt files", "1 folder without images",
                  "1 file without a suffix"):  # fmt: skip
        assert words in line.partition("left out: ")[2], line


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize(
    ("name", "suffix"),
    [(n, s) for n, s in (("jp2", ".jp2"), ("pdf", ".pdf"), ("psd", ".psd"), ("eps", ".eps"),
     ("heic", ".HEIC"), ("ico", ".ico"), ("nameless", ""), ("text", ".txt"), ("data", ".dat"))],
)  # fmt: skip
def test_images_of_an_unread_kind_are_counted_and_refused(folder, part, name, suffix):
    """By their suffix, or, where that says nothing, by how they begin."""
    content = (folder / "train" / "ant" / "0.png").read_bytes()
    for number in (5, 6, 7):
        (folder / part / "zebra" / f"{number}{suffix}").write_bytes(content)
    line = refused(folder)
    assert line.startswith(f"{folder / part}: 3 images are of a kind that is not read, such as ")
    assert f"zebra/5{suffix}" in line and line.endswith("save them as PNG")


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".gif", ".pgm", ".jfif", ".jpe", ".dib"])
def test_more_formats_are_read(folder, suffix):
    kind = {".jfif": "JPEG", ".jpe": "JPEG"}.get(suffix)
    Image.fromarray(GREY).save(folder / "train" / "ant" / f"9{suffix}", kind)
    assert len(image_folder("train", data_dir=str(folder))) == 5


@pytest.mark.parametrize("part", ["train", "test"])
def test_images_deeper_or_higher_than_their_class_are_refused(folder, part):
    deep = folder / part / "ant" / "more" / "still"
    deep.mkdir(parents=True)
    for number in range(3):
        Image.fromarray(COLOUR).save(deep / f"{number}.png")
    line = refused(folder)
    assert f"{folder / part}: 3 images lie below the class folders, such as 'ant/more/st" in line
    deep.rename(folder / part / "ant" / ".more")
    Image.fromarray(COLOUR).save(folder / part / "lost.png")
    assert "1 images lie beside the class folders, such as 'lost.png'" in refused(folder)


def test_links_that_run_in_a_circle_end(folder):
    loop = folder / "train" / "ant" / "7.png"
    loop.symlink_to("7.png")
    assert refused(folder).startswith(f"{loop}: can't be read (")
    loop.unlink()
    (folder / "train" / "ant" / "self").symlink_to(folder / "train")
    assert "images lie below the class folders, such as 'ant/self/ant/0.png'" in refused(folder)


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def broken(path):
    path.symlink_to("nowhere.png")


def a_folder(path):
    path.mkdir()


@pytest.mark.parametrize("plant", [pipe, device, broken])
@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("name", ["9.png", "9", "9.txt", "9.npz"])
def test_nothing_hangs_on_a_pipe_or_a_device(folder, tmp_path, plant, part, name):
    if name == "9.npz":
        plant(tmp_path / name)
        with pytest.raises(InputError, match="can't be read"):
            read_part("npz", {"data_dir": str(tmp_path / name)}, part)
    else:
        plant(folder / part / "ant" / name)
        assert f"{folder / part / 'ant' / name}: can't be read (" in refused(folder)


def test_a_table_that_is_a_pipe_ends_too(tmp_path):
    os.mkfifo(tmp_path / "wnids.txt")
    assert "can't be read (it is no regular file)" in refused(tmp_path, read=tinyimagenet)


# ---- sizes and colours of both parts


@pytest.mark.parametrize("read", [image_folder, cifar10])
@pytest.mark.parametrize(("part", "other"), [("train", "test"), ("test", "train")])
def test_both_parts_have_one_size_also_where_one_stays_unread(tmp_path, read, part, other):
    folder = tmp_path / "images"
    for name in ("train", "test"):
        for label in range(10):
            (folder / name / f"c{label}").mkdir(parents=True)
            Image.fromarray(COLOUR).save(folder / name / f"c{label}" / "0.png")
    odd = folder / other / "c7" / "0.png"
    Image.fromarray(np.tile(COLOUR, (2, 2, 1))).save(odd)
    assert refused(folder, part, read).startswith(f"{odd}: must be 4x3 pixels like the first")


def test_the_part_that_stays_unread_is_not_decoded(folder):
    path = folder / "test" / "ant" / "0.png"
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"IDAT") + 6])  # a header, and no pixel
    assert len(image_folder("train", data_dir=str(folder))) == 4
    assert refused(folder, "test").startswith(f"{path}: not a readable image")


@pytest.mark.parametrize("pixels", [GREY, np.stack([GREY] * 3, 2)], ids=["L", "RGB"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_folder_without_colours_has_one_channel(tmp_path, pixels, part):
    folder = build(tmp_path / "images", pixels)
    images = image_folder(part, data_dir=str(folder))
    assert images.images.shape == (4, 1, 3, 4)
    assert np.array_equal(images.images[0, 0, :2], GREY[:2])
    assert "4x3 grey" in described(folder, part)


def test_grey_among_colours_has_three_channels_which_is_said(folder):
    Image.fromarray(GREY).save(folder / "train" / "ant" / "0.png")
    assert "4x3 colour" in described(folder)
    assert described(folder).endswith("; 1 of them grey, with three equal channels")
    assert image_folder("test", data_dir=str(folder)).images.shape[1] == 3


def test_a_coloured_test_image_after_grey_training_is_named(tmp_path):
    folder = build(tmp_path / "images", GREY)
    odd = folder / "test" / "zebra" / "1.png"
    Image.fromarray(COLOUR).save(odd)
    assert refused(folder, "test").startswith(f"{odd}: has colours, but no training image has")
    assert image_folder("train", data_dir=str(folder)).images.shape[1] == 1


# ---- modes: what the numbers of a file mean


SIXTEEN = (GREY.astype(np.uint16) * 257) + 100


@pytest.mark.parametrize("name", ["0.png", "0.tif", "0.pgm"])
def test_sixteen_bits_are_scaled_and_not_clipped(folder, name):
    assert np.array_equal(first_of(folder, Image.fromarray(SIXTEEN), name)[0], GREY)


def test_each_mode_by_its_own_range(folder):
    black_and_white = first_of(folder, Image.fromarray(GREY).convert("1"))
    assert set(np.unique(black_and_white)) == {0, 255}
    palette = first_of(folder, Image.fromarray(COLOUR).quantize(12))
    assert np.abs(palette.transpose(1, 2, 0).astype(int) - COLOUR).max() <= 8
    cmyk = first_of(folder, Image.fromarray(COLOUR).convert("CMYK"), "0.tif")
    assert np.abs(cmyk.transpose(1, 2, 0).astype(int) - COLOUR).max() <= 2


@pytest.mark.parametrize(("mode", "dtype"), [("I", np.int32), ("F", np.float32)])
def test_numbers_of_unknown_range_are_refused(folder, mode, dtype):
    picture = Image.fromarray(GREY.astype(dtype))
    assert picture.mode == mode
    picture.save(folder / "train" / "ant" / "0.tif")
    assert "0.tif: has 32 bits a pixel, and nothing says their range" in refused(folder)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_opaque_images_lose_their_alpha_and_others_are_refused(folder, mode):
    picture = Image.fromarray(COLOUR).convert(mode)
    assert np.array_equal(first_of(folder, picture)[0], np.asarray(picture.convert("RGB"))[..., 0])
    picture.putpixel((1, 1), (9, 9, 9, 254) if mode == "RGBA" else (9, 254))
    picture.save(folder / "train" / "ant" / "0.png")
    assert "0.png: is transparent in places" in refused(folder)


@pytest.mark.parametrize("pixels", [GREY, COLOUR, SIXTEEN], ids=["L", "RGB", "I;16"])
def test_a_colour_that_counts_as_transparent_is_one_too(folder, pixels):
    first = int(pixels[0, 0]) if pixels.ndim == 2 else tuple(map(int, pixels[0, 0]))
    Image.fromarray(pixels).save(folder / "train" / "ant" / "0.png", transparency=first)
    assert "0.png: is transparent in places" in refused(folder)


def test_a_transparent_palette_is_seen(folder):
    picture = Image.fromarray(COLOUR).quantize(12)
    picture.save(folder / "train" / "ant" / "0.png", transparency=0)
    assert "0.png: is transparent in places" in refused(folder)


@pytest.mark.parametrize("name", ["0.gif", "0.png", "0.tif", "0.webp"])
def test_several_frames_are_refused(folder, name):
    frames = [Image.fromarray(np.roll(COLOUR, turn, 0)) for turn in range(3)]
    frames[0].save(
        folder / "train" / "ant" / name, save_all=True, append_images=frames[1:], duration=9
    )
    assert f"{name}: must be one image, but has 3 frames" in refused(folder)


@pytest.mark.parametrize("name", ["0.jpg", "0.png", "0.webp", "0.tif"])
def test_images_are_turned_as_every_viewer_turns_them(folder, name):
    lying = Image.fromarray(np.rot90(COLOUR))  # 3 wide, 4 high
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it clockwise
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[0x0112] = 6
    how = {"tiffinfo": info} if name == "0.tif" else {"exif": exif}
    first = first_of(folder, lying, name, lossless=True, **how)
    assert first.shape == (3, 3, 4)
    if name != "0.jpg":
        assert np.array_equal(first.transpose(1, 2, 0), COLOUR)
    if name != "0.tif":
        assert "1 of them turned as their EXIF says" in described(folder)


# ---- damage


def bomb(path):
    """A PNG of a few bytes that says it has 60,000 x 60,000 pixels."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(b"\0" * 9999))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b""))


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "html": lambda path: path.write_text("<!DOCTYPE html><html><body>404 not found</body></html>"),
    "bomb": bomb,
    "zeros": lambda path: path.write_bytes(b"\0" * 500),
    "postscript": lambda path: path.write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 3\nshowpage\n"
    ),
}


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_image_is_one_line_in_whichever_part(folder, part, damage, recwarn):
    path = folder / part / "zebra" / "1.png"
    DAMAGES[damage](path)
    assert refused(folder, part).startswith(f"{path}: not a readable image (")
    assert not recwarn.list  # which would be more lines


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_libtiff_says_nothing_beside_the_one_line(folder, share, capfd):
    path = folder / "train" / "zebra" / "1.tif"
    noise = np.random.default_rng(0).integers(0, 256, (3, 4, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, compression="tiff_lzw")
    content = bytearray(path.read_bytes())
    for place in range(8, 20):
        content[place] ^= int(share * 255)
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        image_folder("train", data_dir=str(folder))
    os.write(2, b"still heard")
    assert capfd.readouterr().err == "still heard"


def test_bytes_changed_anywhere_are_an_image_or_one_line(folder):
    path = folder / "train" / "zebra" / "1.png"
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([draw.integers(256)]) + whole[place + 1 :])
        try:
            image_folder("train", data_dir=str(folder))
        except InputError as error:
            assert len(str(error)) <= LONGEST


# ---- folders beside, and names


@pytest.mark.parametrize("part", ["train", "test"])
def test_folders_beside_train_and_test_are_said(folder, part):
    (folder / ".git").mkdir()
    assert "left out" not in described(folder, part)
    shutil.copytree(folder / "test", folder / "valid")
    assert "left out: 1 other folder ('valid')" in described(folder, part)


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\nb", "a\udcff"])
def test_a_class_whose_name_no_exported_file_could_hold_is_refused(folder, name):
    for part in ("train", "test"):
        (folder / part / "zebra").rename(folder / part / name)
    assert "the class folder" in refused(folder) and "rename it" in refused(folder)
