"""What the command lines share: one-line errors, exit statuses, and where things lie."""

import argparse
import contextlib
import errno
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from pipeline.interrupt import INTERRUPTED
from regmix.errors import InputError, unknown

ROOT = Path(__file__).resolve().parents[1]
RUNS = ROOT / "mlruns"
DISK = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
DISK |= {errno.EROFS: "the disk is read-only", errno.EFBIG: "the file would become too large"}
DISK |= {errno.EREMOTEIO: "the object store does not answer"}  # see `pipeline.object_store`


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, with the nearest option."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found, without its usage block."""
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            word = message.removeprefix(prefix).split()[0]
            known = [text for text in self._option_string_actions if text.startswith("--")]
            raise unknown("command line", "option", word.partition("=")[0], known)
        raise InputError(f"command line: {message}; see --help")


def run(name: str, main: Callable[[Sequence[str]], int]) -> int:
    """Run a command: a user's mistake is one line and status 2, a bug is a traceback."""
    try:
        return main(sys.argv[1:])
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:
        status, message = 2, _mistake(error)
        if _interrupted(error):
            status, message = INTERRUPTED, "interrupted"
        if message is None:
            raise
    with contextlib.suppress(BrokenPipeError):
        print(f"{name}: {' '.join(message.split())}", file=sys.stderr)
    return status


def _mistake(error: BaseException) -> str | None:
    """Return what the user can do about an error, None for a bug."""
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, OSError) and error.errno in DISK:
        place = error.filename or "mlruns"
        remedy = "make room or choose another place by --runs"
        if error.errno == errno.EREMOTEIO:
            remedy = "nothing is lost: the same command goes on when it does"
        return f"{place}: {DISK[error.errno]}; {remedy}"
    return None


def _interrupted(error: BaseException | None) -> bool:
    """Tell whether Ctrl-C lies behind an error: a library's clean-up may have met it midway."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def settings(pairs: Sequence[str], place: str = "--set") -> dict[str, str]:
    """Read KEY=VALUE words; values stay text until a configuration checks them.

    Raises:
        InputError: for a word without '=', or a key given twice.
    """
    result: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InputError(f"{place}: must be KEY=VALUE, but is {pair!r}; write epochs=20")
        if key in result:
            raise InputError(f"{place}: {key} is given twice; leave one")
        result[key] = value
    return result


def folder(path: Path, option: str) -> Path:
    """Make a folder that can be written to, and return it absolute.

    Raises:
        InputError: where it can't be made or written to.
    """
    path = path.resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.write_bytes(b"x" * 65536)  # a full disk still makes empty files
        probe.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            (path / f".probe-{os.getpid()}").unlink(missing_ok=True)
        reason = DISK.get(error.errno or 0, error.strerror)
        raise InputError(
            f"{path}: must be a folder that can be written to, but {reason}; make room or choose "
            f"another place by {option}"
        ) from None
    return path
