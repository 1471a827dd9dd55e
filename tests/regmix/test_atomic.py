import os

import pytest

from regmix import atomic


def test_what_is_filled_in_is_there_under_its_name_alone(tmp_path):
    atomic.write(tmp_path / "file.txt", lambda path: path.write_text("new"))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file.txt": "new"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fill(temporary):
        temporary.write_text("half of the n")
        raise error

    with pytest.raises(error):
        atomic.write(path, fill)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file.txt": "old"}


def test_while_it_is_written_the_old_file_can_be_read(tmp_path):
    path, seen = tmp_path / "file.txt", []
    path.write_text("old")

    def fill(temporary):
        temporary.write_text("new")
        seen.append(path.read_text())

    atomic.write(path, fill)
    assert (seen, path.read_text()) == (["old"], "new")


def test_others_may_read_it(tmp_path):
    atomic.write(tmp_path / "file.txt", lambda path: path.write_text("new"))
    assert os.stat(tmp_path / "file.txt").st_mode & 0o777 == 0o644
