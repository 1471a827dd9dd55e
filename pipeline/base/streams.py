"""Output that may end, be full, or know few letters: it never ends a command.

What a command prints is also in files, so a stream that takes no more is left, and the command
goes on. Letters that a terminal does not know are printed as escapes.
"""

import io
import os
import sys
from typing import TextIO


class _Patient(io.FileIO):
    """A stream that swallows what can't be written any more."""

    def write(self, content: object) -> int:
        """Write, or once that fails throw away; return the number of bytes that were taken."""
        try:
            return super().write(content) or 0  # type: ignore[arg-type]
        except BlockingIOError:
            raise
        except OSError:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())
            return len(memoryview(content).cast("B"))  # type: ignore[arg-type]


def prepare() -> None:
    """Make this process's standard output and error patient, where they are its own."""
    if sys.stdout is sys.__stdout__:
        sys.stdout = _patient(sys.stdout, 1)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _patient(sys.stderr, 2)


def printed_to() -> int | None:
    """Return the number of the stream that this process prints to; None for a text in memory."""
    try:
        return sys.stdout.fileno()
    except OSError:
        return None


def _patient(stream: TextIO | None, number: int) -> TextIO:
    """Return a text stream on a file descriptor, in the encoding of the one that it replaces."""
    if stream is not None:
        stream.flush()
    raw = _Patient(number, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(stream, "encoding", None) or "utf-8",
        errors="backslashreplace",
        line_buffering=number == 2 or raw.isatty(),
        write_through=number == 2,
    )
