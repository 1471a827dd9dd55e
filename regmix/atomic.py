"""Files that are there whole or not at all."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def write(path: Path, fill: Callable[[Path], object]) -> None:
    """Write a file under another name in its folder, then rename it.

    A kill leaves the old file or the new one, never half of one.

    Args:
        path: file to be written.
        fill: function that writes the content to the path that it is given.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    try:
        fill(Path(name))
        os.chmod(name, 0o644)  # made for the owner alone
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def write_folder(path: Path, fill: Callable[[Path], object]) -> None:
    """Write a folder under another name beside it, then rename it.

    Where there is one of that name, its files are replaced one by one when all of the new ones are
    complete, and what else it holds stays, such as a repository's own folder.

    Args:
        path: folder to be written.
        fill: function that writes the content to the folder that it is given.
    """
    made = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        fill(made)
        os.chmod(made, 0o755)  # made for the owner alone
        if not path.exists():
            os.rename(made, path)
            return
        for new in sorted(made.iterdir()):
            if new.is_dir() and (path / new.name).exists():
                os.rename(path / new.name, made / f"{new.name}.old")
            os.replace(new, path / new.name)
    finally:
        shutil.rmtree(made, ignore_errors=True)
