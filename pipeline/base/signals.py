"""Ctrl-C, SIGTERM and a closed terminal: the first asks to stop, the second ends at once."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from pipeline.base.early import INTERRUPTED, SIGNALS, hear
from pipeline.base.streams import printed_to

Handler = Callable[[int, FrameType | None], Any]


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt at the first signal; a second one ends the process at once."""
    heard = threading.Event()

    def raise_once(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if heard.is_set():
            _leave()
        heard.set()
        raise KeyboardInterrupt

    with hearing(raise_once):
        yield


@contextlib.contextmanager
def hearing(handler: Handler) -> Iterator[None]:
    """Let a handler hear the signals meanwhile."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python hears signals in the main thread alone
        return
    before = {number: hear(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, old in before.items():
            hear(number, old)


@dataclass
class Interrupt:
    """Turns the first signal into an event, so that nothing is left halfway.

    The second one ends the process as `kill -9` would, which loses nothing either: raised as an
    exception somewhere in a library, it could be swallowed there, or crash it. So does the first
    one after `finish`, when only the view is left to be written.

    requested: set by the first signal.
    """

    requested: threading.Event = field(default_factory=threading.Event)
    _begun: bool = False
    _finishing: bool = False
    _before: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            hear(number, handler)

    def listen(self) -> None:
        """Take the signals; again after a library took them."""
        for number in SIGNALS:
            self._before.setdefault(number, hear(number, self._heard))

    def begin(self) -> None:
        """Say from now on that it stops; raise KeyboardInterrupt where it was asked to before."""
        self._begun = True
        if self.requested.is_set():
            raise KeyboardInterrupt

    def finish(self) -> None:
        """End at once from now on: all but the view is written."""
        self._finishing = True

    def go_on(self) -> None:
        """Stop orderly again, since another study begins; raise where it was asked to stop."""
        self._finishing = False
        self.begin()

    def _heard(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._finishing or self.requested.is_set():
            _leave()
        self.requested.set()
        if self._begun:
            _say(printed_to() or 1, "\nstopping; nothing is lost\n")


def _leave() -> NoReturn:
    if os.isatty(1):
        _say(1, "\x1b[?25h")  # a live table hides the cursor
    _say(2, "interrupted at once; nothing is lost: the same command continues\n")
    os._exit(INTERRUPTED)


def _say(stream: int, text: str) -> None:
    """Write past Python's buffer, which the interrupted code may hold; a pipe may be broken."""
    with contextlib.suppress(OSError):
        os.write(stream, text.encode())
