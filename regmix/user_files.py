"""Files that a user names, read behind one guard: no pipe, no device, no flood."""

import os
import re
import stat
from pathlib import Path

from regmix.errors import InputError, cut, masked, shown

TEXT_BYTES = 1 << 20
"""Most bytes of a text file, 1 MB: what a person or `export.py` writes is far below."""


_LONGEST, _LONGEST_NAME = 4000, 255  # bytes of a path, with room for what is put below it
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|(sqlite|postgresql|mysql)[a-z0-9+]*:")


def absolute(name: str | Path, place: str) -> Path:
    """Return an absolute path without following links, which may run in a circle.

    Args:
        name: path as the user wrote it.
        place: option or key that it was written after, for the message.

    Raises:
        InputError: for an empty name, or one that no file can have.
    """
    text = os.fspath(name)
    if not text.strip():
        raise InputError(f"{place}: must name a file or folder, but is empty; write its path")
    if "\0" in text:
        raise InputError(f"{place}: {shown(text)} holds a NUL, which no path can; correct it")
    if _ADDRESS.match(text):
        raise InputError(
            f"{place}: must be a path of this machine, but {shown(masked(text))} is an address; "
            "write a path, ./ before it where this is its name"
        )
    path = os.path.abspath(os.path.expanduser(text))
    encoded = os.fsencode(path)
    if len(encoded) > _LONGEST or max(map(len, encoded.split(b"/"))) > _LONGEST_NAME:
        raise InputError(f"{place}: {shown(text)} can't be opened (File name too long); shorten it")
    return Path(path)


def followed(name: str | Path, place: str) -> Path:
    """Return the same without links, so that two names of one file are one path.

    Raises:
        InputError: as `absolute` does, and for links that run in a circle.
    """
    try:
        return absolute(name, place).resolve()
    except RuntimeError:
        raise InputError(f"{place}: {shown(str(name))} is a circle of links; correct it") from None


def irregularity(path: Path) -> str:
    """Return why a path is no regular file, '' where it is one; nothing is opened.

    Raises:
        OSError: where there is nothing, or it can't be looked at.
    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return ""
    return "it is a folder" if stat.S_ISDIR(mode) else "it is no regular file"


def regular_file(path: Path, remedy: str = "check the path") -> Path:
    """Return the path of a file that is there and can be read to its end.

    Args:
        path: path as the user wrote it.
        remedy: what the user can do, for the message.

    Raises:
        InputError: for what is missing, a folder, a pipe, a device, or a path that can't be.
    """
    try:
        reason = irregularity(path)
        if not reason:
            with open(path, "rb"):
                return path
    except (OSError, ValueError, RuntimeError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
    raise InputError(f"{cut(str(path), 120)}: can't be read ({reason}); {remedy}")


def read_text(path: Path) -> str:
    """Return a UTF-8 text of at most `TEXT_BYTES` bytes.

    Raises:
        InputError: for what `regular_file` refuses, a longer file, or no UTF-8.
    """
    try:
        with open(regular_file(path), "rb") as file:
            content = file.read(TEXT_BYTES + 1)
        if len(content) > TEXT_BYTES:
            reason = "it is longer than 1 MB"
        else:
            return content.decode("utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError:
        reason = "it is no UTF-8 text"
    raise InputError(f"{cut(str(path), 120)}: can't be read ({reason}); check the path")
