"""Files that are there whole or not at all."""

import contextlib
import os
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
