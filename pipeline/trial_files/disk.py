"""Files of trials on a disk."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from regmix import atomic
from regmix.user_files import regular_file


@dataclass(frozen=True)
class DiskFiles:
    """A folder for each trial, which every machine that trains sees under the same path.

    root: the folder of these folders.
    """

    root: Path

    @property
    def uri(self) -> str:
        """The path."""
        return str(self.root)

    def list(self) -> Iterator[tuple[int, str]]:
        """Walk through the folders."""
        for folder in sorted(self.root.glob("[0-9]*")):
            if not folder.name.isdecimal() or not folder.is_dir():  # somebody's copy
                continue
            with contextlib.suppress(FileNotFoundError):  # another driver removes files too
                yield from [(int(folder.name), path.name) for path in sorted(folder.iterdir())]

    def read(self, number: int, name: str) -> bytes | None:
        """Read a file.

        Raises:
            InputError: for what somebody put in its place, such as a folder or a pipe.
        """
        path = self._path(number, name)
        if not os.path.lexists(path):
            return None
        try:
            return regular_file(path, "remove it").read_bytes()
        except FileNotFoundError:  # another driver removes files too
            return None

    def write(self, number: int, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Write under another name, then rename; what a kill left half written goes."""
        path = self._path(number, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        for half in path.parent.glob(f".{name}-*"):
            half.unlink(missing_ok=True)
        atomic.write(path, lambda temporary: _fill(temporary, fill))

    def remove(self, number: int, name: str) -> None:
        """Remove a file, and the folder with the last one."""
        path = self._path(number, name)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it holds others, or another driver was quicker
            path.parent.rmdir()

    def _path(self, number: int, name: str) -> Path:
        return self.root / f"{number:04d}" / name


def _fill(path: Path, fill: Callable[[IO[bytes]], object]) -> None:
    with path.open("wb") as stream:
        fill(stream)
