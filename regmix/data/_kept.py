"""What was read from many files, kept beside them until one of them changes.

A folder of 60,000 small images takes seconds to decode and each command reads it. The copy is
plain arrays and a digest of them: nothing in it is executed, and one that is damaged is no copy.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regmix import atomic
from regmix.user_files import irregularity

FOLDER = ".regmix-cache"
"""Name of the folder, hidden as what is passed over among images."""
_SETTLED = 10**8  # ns that a file must be older than its reading: clocks of file systems tick
_LEFT = 3600  # seconds after which a file that a kill left half written goes
_CODE = ("_kept.py", "_image_files.py")  # what is kept depends on how it is read


@dataclass(frozen=True)
class Kind:
    """Shape and type of an array that is kept."""

    shape: tuple[int, ...]
    dtype: Any

    @classmethod
    def of(cls, array: NDArray[Any]) -> "Kind":
        """Return the kind of an array."""
        return cls(array.shape, array.dtype)


@dataclass(frozen=True)
class Kept:
    """The place of what was read from some files.

    file: file of the arrays; another one for each state of the files.
    role: beginning of its name; what was kept before under it goes.
    root: folder of the data set.
    paths: the files that it was read from, in their order.
    begun: when they were looked at first, ns.
    """

    file: Path
    role: str
    root: Path
    paths: Sequence[Path]
    begun: int

    @classmethod
    def place(cls, root: Path, role: str, paths: Sequence[Path]) -> "Kept":
        """Return the place for the state that the files are in now.

        Args:
            root: folder of the data set.
            role: what is kept, such as 'train'.
            paths: the files below it.
        """
        begun = time.time_ns()
        file = _folder(root) / f"{role}-{_state(root, paths)}.npy"
        return cls(file, role, root, paths, begun)

    def load(self, kinds: Sequence[Kind]) -> list[NDArray[Any]] | None:
        """Return the arrays, None where there are none of these kinds or they are damaged."""
        digest = hashlib.sha256()
        try:
            if irregularity(self.file):
                return None
            with open(self.file, "rb") as file:
                found = [_read(file, kind, digest) for kind in kinds]
                whole = file.read() == digest.digest()
        except (OSError, ValueError, EOFError):
            return None
        return found if whole else None

    def store(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Keep arrays; do nothing where no place takes them, or a file changes meanwhile."""
        if self.file.name != f"{self.role}-{_state(self.root, self.paths)}.npy":
            return
        if any(self.begun - _stamp(path)[2] < _SETTLED for path in self.paths):
            return  # it could change once more within the same tick
        with contextlib.suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self._sweep()
            atomic.write(self.file, lambda place: _write(place, arrays))

    def _sweep(self) -> None:
        """Remove what was kept of an earlier state, and what a kill left half written."""
        for old in self.file.parent.glob(f"{self.role}-*.npy"):
            if old != self.file:
                old.unlink(missing_ok=True)
        for half in self.file.parent.glob(f".{self.role}-*"):
            if time.time() - half.stat().st_mtime > _LEFT:
                half.unlink(missing_ok=True)


def _folder(root: Path) -> Path:
    """Return the folder beside the data; the user's own cache where the data is read-only."""
    if os.access(root, os.W_OK | os.X_OK):
        return root / FOLDER
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
    return Path(base) / "regmix-search" / name


def _state(root: Path, paths: Sequence[Path]) -> str:
    """Return 32 digits that change with any file, its place, and the code that reads it.

    Beside size and time of change counts the time at which the file system saw it change: a tool
    that sets the former back can't set the latter.
    """
    digest, beginning = hashlib.sha256(_readers()), os.fsencode(root)
    for path in paths:
        name = os.fsencode(path).removeprefix(beginning)
        digest.update(f"{len(name)} {_stamp(path)} ".encode() + name)
    return digest.hexdigest()[:32]


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return size, time of change, and time of the last change of any kind, ns.

    What is missing, or can't be looked at, is told when it is read.
    """
    try:
        found = os.stat(path)
    except OSError:
        return -1, -1, -1
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


@cache
def _readers() -> bytes:
    """Return what else decides which pixels a file has: this code, Pillow, its decoders."""
    import PIL
    from PIL import features

    digest = hashlib.sha256()
    for name in _CODE:
        digest.update((Path(__file__).parent / name).read_bytes())
    for known in ("libjpeg_turbo", "jpg", "zlib", "webp", "libtiff"):
        digest.update(f"{known} {features.version(known)} ".encode())
    digest.update(f"{PIL.__version__} {np.__version__}".encode())
    return digest.digest()


def _read(file: BufferedReader, kind: Kind, digest: "hashlib._Hash") -> NDArray[Any]:
    """Read an array of this kind, and no other: its header says nothing that is believed.

    Raises:
        ValueError: where it is another one, or cut.
    """
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("another format")
    if np.lib.format.read_array_header_1_0(file) != (kind.shape, False, np.dtype(kind.dtype)):
        raise ValueError("another kind")
    array = np.empty(kind.shape, kind.dtype)
    content = array.data.cast("B")
    if file.readinto(content) != len(content):
        raise ValueError("cut")
    digest.update(content)
    return array


def _write(place: Path, arrays: Sequence[NDArray[Any]]) -> None:
    digest = hashlib.sha256()
    with open(place, "wb") as file:
        for array in map(np.ascontiguousarray, arrays):
            np.save(file, array, allow_pickle=False)
            digest.update(array.data.cast("B"))
        file.write(digest.digest())
