"""What is said on the way to an answer: left out by --quiet, and never silent for long."""

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TextIO

from regmix.progress import Phase

_QUIET = ContextVar("quiet", default=False)
_FIRST = 3.0  # s before anything is said of what may be done at once
_OFTEN, _SELDOM = 4.0, 60.0  # s between two lines: in the first minute, and after it
_REDRAWN = 0.5  # s, where a line is written over


@contextlib.contextmanager
def quiet(wanted: bool) -> Iterator[None]:
    """Leave out, meanwhile, what `tell` and `Waiting` say, where that is wanted."""
    token = _QUIET.set(wanted)
    try:
        yield
    finally:
        _QUIET.reset(token)


def is_quiet() -> bool:
    """Tell whether only the end is to be said."""
    return _QUIET.get()


def tell(words: str) -> None:
    """Print a line that is no part of the answer."""
    if not _QUIET.get():
        print(words, flush=True)


@dataclass
class Waited:
    """Something that may take long, and when a line about it is due.

    what: what it is, such as 'reading the training images'.
    begun: when it began, s of any clock.
    redrawn: whether each line takes the place of the one before.
    phase: how far it is; None where nothing was told.
    """

    what: str
    begun: float
    redrawn: bool = False
    phase: Phase | None = None
    _said: float | None = None

    def line(self, now: float) -> str | None:
        """Return the line that is due; None where none is."""
        passed = now - self.begun
        pause = _REDRAWN if self.redrawn else _OFTEN if passed < 60 else _SELDOM
        if passed < _FIRST or (self._said is not None and now < self._said + pause):
            return None
        self._said = now
        place = " ..." if self.phase is None else f": {self.phase.in_words()}"
        return f"{self.what}{place}, {passed:.0f} s"


@dataclass
class Waiting:
    """Says how far something is that takes longer than a few seconds; a context.

    It takes phases, as a `regmix.progress.Progress` does. In a terminal one line is written over,
    and is gone at the end; elsewhere there is a line every four seconds, after a minute one in a
    minute.

    what: what it is, such as 'reading the training images'.
    stream: where it is said; None for standard output.
    """

    what: str
    stream: TextIO | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._shown, self._out = "", self.stream or sys.stdout
        self._waited = Waited(self.what, time.monotonic(), self._out.isatty())
        self._thread = threading.Thread(target=self._follow, name="waiting", daemon=True)
        if not _QUIET.get():
            self._thread.start()
        return self

    def __call__(self, phase: Phase) -> None:
        """Take note of what is under way now."""
        self._waited.phase = phase

    def say(self, words: str) -> None:
        """Say something in between, on a line of its own."""
        if not _QUIET.get():
            self._write("\r\x1b[K" * bool(self._shown) + f"{words}\n")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        if self._shown:
            self._write("\r\x1b[K")

    def _follow(self) -> None:
        while not self._over.wait(0.25):
            line = self._waited.line(time.monotonic())
            if line is not None and self._waited.redrawn:
                self._shown = line
                self._write(f"\r{line}\x1b[K")
            elif line is not None:
                self._write(f"{line}\n")

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()
