"""Decoded images are kept beside the data, and never believed against it."""

import errno
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from regmix import atomic
from regmix.data import _image_files, _kept
from regmix.data.image_folder import image_folder
from regmix.errors import InputError
from regmix.images import Images


def paint(path, red, size=(4, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (red, 7, 9)).save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two classes of two images in each part, which are as good as old."""
    monkeypatch.setattr(_kept, "_SETTLED", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    for part, add in (("train", 0), ("test", 50)):
        for name, red in (("ant", 100), ("bee", 200)):
            for number in (1, 2):
                paint(tmp_path / "data" / part / name / f"{number}.bmp", red + number + add % 100)
    return tmp_path / "data"


@pytest.fixture
def decoded(monkeypatch):
    """How many files were decoded, one entry for each time."""
    real, counts = _image_files._decoded, []

    def counted(paths, size):
        counts.append(len(paths))
        return real(paths, size)

    monkeypatch.setattr(_image_files, "_decoded", counted)
    return counts


def read(folder, part="train"):
    return image_folder(part, data_dir=str(folder))


def same(one: Images, other: Images):
    equal = np.array_equal(one.images, other.images) and np.array_equal(one.labels, other.labels)
    words = (one.classes, one.other, one.left_out, one.remarks)
    return equal and words == (other.classes, other.other, other.left_out, other.remarks)


def kept_files(folder):
    place = folder / _kept.FOLDER
    return (
        sorted(path.name.rpartition("-")[0] for path in place.iterdir()) if place.is_dir() else []
    )


def test_the_second_reading_decodes_nothing_and_is_the_same(folder, decoded, monkeypatch):
    (folder / "train" / "notes.txt").touch()
    first = read(folder)
    assert kept_files(folder) == ["sizes-of-test", "train"]  # of test images their sizes alone
    opened = []
    real = _image_files.image_size
    monkeypatch.setattr(_image_files, "image_size", lambda p: opened.append(p) or real(p))
    second = read(folder)
    assert decoded == [4] and len(opened) == 1
    assert same(first, second) and first.left_out == ("1 .txt file",)
    assert second.images.flags.writeable == first.images.flags.writeable
    assert same(read(folder, "test"), read(folder, "test"))
    assert decoded == [4, 4]


def same_size_and_time(folder):
    file = folder / "train" / "ant" / "1.bmp"
    before = file.stat()
    paint(file, 30)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


CHANGES = {
    "changed": lambda folder: paint(folder / "train" / "ant" / "1.bmp", 30),
    "changed, its time set back": same_size_and_time,
    "added": lambda folder: paint(folder / "train" / "ant" / "0.bmp", 30),
    "removed": lambda folder: (folder / "train" / "ant" / "1.bmp").unlink(),
    "moved": lambda folder: (folder / "train" / "ant" / "1.bmp").rename(
        folder / "train" / "bee" / "0.bmp"
    ),
    "turned grey": lambda folder: Image.new("L", (4, 3), 3).save(folder / "train/ant/1.bmp"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_any_file_is_seen(folder, decoded, change):
    read(folder)
    change(folder)
    found = read(folder)
    assert len(decoded) == 2
    shutil.rmtree(folder / _kept.FOLDER)
    assert same(found, read(folder))
    assert kept_files(folder) == ["sizes-of-test", "train"]  # what was kept before is gone


def test_another_pillow_or_another_reader_decodes_again(folder, decoded, monkeypatch):
    read(folder)
    monkeypatch.setattr(_kept, "_readers", lambda: b"another")
    read(folder)
    assert decoded == [4, 4]
    assert _kept._CODE[1] == f"{_image_files.__name__.rpartition('.')[2]}.py"


def flip(content):
    return content[:200] + bytes([content[200] ^ 1]) + content[201:]


def of_objects(_):
    import io

    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    return file.getvalue()


DAMAGES = {
    "flipped": flip,
    "cut": lambda content: content[:-40],
    "longer": lambda content: content + b"\0",
    "empty": lambda _: b"",
    "another shape": lambda content: content.replace(b"(4, 3, 3, 4)", b"(9, 3, 3, 4)", 1),
    "huge": lambda content: content.replace(b"(4, 3, 3, 4), }", b"(10**15,), }   ", 1),
    "objects": of_objects,
    "no array": lambda _: b"Dear reader",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_is_decoded_again_and_mended(folder, decoded, damage):
    first = read(folder)
    (file,) = (folder / _kept.FOLDER).glob("train-*")
    content = file.read_bytes()
    assert damage(content) != content
    file.write_bytes(damage(content))
    assert same(read(folder), first)
    assert decoded == [4, 4]
    assert file.read_bytes() == content


def test_a_pipe_or_a_file_in_the_place_of_what_is_kept_is_none(folder, decoded):
    first = read(folder)
    (file,) = (folder / _kept.FOLDER).glob("train-*")
    file.unlink()
    os.mkfifo(file)
    assert same(read(folder), first) and file.is_file()
    shutil.rmtree(folder / _kept.FOLDER)
    (folder / _kept.FOLDER).touch()
    assert same(read(folder), first)
    assert decoded == [4] * 3


def test_a_file_that_changes_while_it_is_decoded_is_not_kept(folder, monkeypatch):
    real = _image_files._decoded

    def changing(paths, size):
        found = real(paths, size)
        paint(paths[0], 30)
        return found

    monkeypatch.setattr(_image_files, "_decoded", changing)
    read(folder)
    assert kept_files(folder) == ["sizes-of-test"]


def test_a_file_that_is_younger_than_a_tick_of_its_clock_is_not_kept(folder, monkeypatch):
    monkeypatch.setattr(_kept, "_SETTLED", 3600 * 10**9)
    read(folder)
    assert kept_files(folder) == []


def test_read_only_data_are_kept_in_the_users_own_cache(folder, tmp_path, decoded, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    first = read(folder)
    assert kept_files(folder) == []
    (place,) = (tmp_path / "home" / "regmix-search").iterdir()
    assert len(list(place.iterdir())) == 2
    assert same(read(folder), first) and decoded == [4]
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/x")
    assert same(read(folder), first) and decoded == [4, 4]


def test_a_full_disk_leaves_nothing_and_ends_nothing(folder, decoded, monkeypatch):
    def full(file, fill):
        def half(place):
            place.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

        real(file, half)

    real = atomic.write
    monkeypatch.setattr(atomic, "write", full)
    assert len(read(folder)) == 4 == len(read(folder))
    assert decoded == [4, 4] and kept_files(folder) == []


def test_what_a_kill_left_half_written_goes_and_what_another_command_writes_stays(folder):
    place = folder / _kept.FOLDER
    place.mkdir()
    for name, age in (("dead", 7200), ("alive", 0)):
        (place / f".train-{name}").touch()
        stamp = (place / f".train-{name}").stat().st_mtime - age
        os.utime(place / f".train-{name}", (stamp, stamp))
    read(folder)
    assert [path.name for path in place.glob(".*")] == [".train-alive"]


def test_an_odd_size_is_refused_beside_sizes_that_were_kept(folder):
    read(folder)
    paint(folder / "test" / "bee" / "2.bmp", 30, size=(5, 3))
    with pytest.raises(InputError, match=r"2.bmp: must be 4x3 pixels like the first image"):
        read(folder)
    for _ in range(2):
        for part in ("train", "test"):
            for name in ("1", "2"):
                for kind in ("ant", "bee"):
                    paint(folder / part / kind / f"{name}.bmp", 30, size=(6, 2))
        assert read(folder).images.shape[2:] == (2, 6)
