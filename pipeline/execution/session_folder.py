"""Folders for one session, which go with it: at its end, or after a kill at the next start."""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

_LOCK = "lock"


@contextlib.contextmanager
def session_folder(base: Path, prefix: str) -> Iterator[Path]:
    """Make a folder that is removed at the end; remove those of sessions that were killed.

    The kernel lets go of its lock when this process dies, however it dies. What ends late may
    leave something in it, which the next start takes away.

    Args:
        base: folder to make it in.
        prefix: beginning of its name and of those of earlier sessions, of this tool alone.

    Raises:
        OSError: where nothing can be made there.
    """
    sweep(base, prefix)
    place, lock = _locked(base, prefix)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(lock)


def sweep(base: Path, prefix: str) -> None:
    """Remove the folders of dead sessions of this user."""
    for place in base.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):
            lock = os.open(place / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                mine = os.fstat(lock).st_uid == os.getuid()
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # else it lives
                if mine:
                    shutil.rmtree(place, ignore_errors=True)
            finally:
                os.close(lock)


def _locked(base: Path, prefix: str) -> tuple[Path, int]:
    """Return a new folder and the descriptor of its lock, which is held."""
    while True:
        place = base / f"{prefix}{secrets.token_hex(2)}"  # short: Ray's sockets lie in it
        try:
            place.mkdir(mode=0o700)
        except FileExistsError:
            continue
        lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (place / _LOCK).exists():  # no other start took it for a dead one's meanwhile
                return place, lock
        os.close(lock)
