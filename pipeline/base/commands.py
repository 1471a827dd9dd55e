"""Commands as they are printed: pasted into a shell they run, also without the environment."""

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline.base.paths import ROOT
from regmix.errors import masked


def command(script: str, *words: object) -> str:
    """Return a command line of this project, quoted, with the Python that has its packages.

    A password in an address is masked: who pastes the line fills it in.

    Args:
        script: file name of the command, such as 'confirm.py'.
        words: what follows it.
    """
    python = Path(sys.executable or "python3")
    parts = [near(python), near(ROOT / "pipeline" / script), *map(str, words)]
    return masked(shlex.join(parts))


def typed() -> str:
    """Return the command line that this process was called by, as it can be pasted again."""
    script = Path(sys.argv[0]).stem.removeprefix("regmix-")  # as an installed package calls it
    return command(f"{script}.py", *sys.argv[1:])


def given(options: Mapping[str, object]) -> list[str]:
    """Return the words of those options that have a value.

    Args:
        options: option as it is typed -> its value; None for none.
    """
    words = [(name, str(value)) for name, value in options.items() if value is not None]
    return [word for pair in words for word in pair]


def near(path: Path) -> str:
    """Return a path from the working folder where it lies below that, else the whole path."""
    if not path.is_absolute():
        return str(path)
    try:
        below = path.relative_to(Path.cwd())
    except (ValueError, OSError):  # elsewhere, or the working folder is gone
        return str(path)
    return str(below) if os.sep in str(below) else f".{os.sep}{below}"
