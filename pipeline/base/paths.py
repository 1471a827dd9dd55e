"""Where the project and its files lie, folders that can be written to, and disks that refuse."""

import contextlib
import errno
import os
from pathlib import Path

from regmix.errors import InputError
from regmix.user_files import absolute

ROOT = Path(__file__).resolve().parents[2]
RUNS = ROOT / "mlruns"
DISK_ERRORS = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
DISK_ERRORS |= {errno.EROFS: "the disk is read-only", errno.EFBIG: "the file would be too large"}
DISK_ERRORS |= {errno.EREMOTEIO: "the object store does not answer"}

_made: list[Path] = []  # by this process, the deepest last


def writable_folder(name: str | Path, option: str) -> Path:
    """Make a folder that can be written to, and return it absolute.

    Args:
        name: the folder, as it was typed.
        option: option by which the user chooses another one, such as '--runs'.

    Raises:
        InputError: where it can't be made or written to.
    """
    path = absolute(name, option)
    try:
        new = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(parents=True, exist_ok=True)
        _made.extend(reversed(new))
        probe = path / f".probe-{os.getpid()}"
        probe.write_bytes(b"x" * 65536)  # a full disk still makes empty files
        probe.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            (path / f".probe-{os.getpid()}").unlink(missing_ok=True)
        reason = DISK_ERRORS.get(error.errno or 0, error.strerror)
        raise InputError(
            f"{path}: must be a folder that can be written to, but {reason}; make room or choose "
            f"another place by {option}"
        ) from None
    return path


def remove_empty_folders() -> None:
    """Remove the folders that this process made and left empty, as a refused command does."""
    while _made:
        with contextlib.suppress(OSError):
            _made.pop().rmdir()


def disk_remedy(error: OSError) -> str | None:
    """Return in one line what to do about a disk's refusal, None for any other error."""
    if error.errno not in DISK_ERRORS:
        return None
    remedy = "make room or choose another place by --runs"
    if error.errno == errno.EREMOTEIO:
        remedy = "nothing is lost: the same command goes on when it does"
    return f"{error.filename or 'mlruns'}: {DISK_ERRORS[error.errno]}; {remedy}"
