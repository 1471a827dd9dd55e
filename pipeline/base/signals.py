"""Ctrl-C and SIGTERM: the first asks a search to stop, the second ends it at once."""

import contextlib
import os
import signal
import threading
from dataclasses import dataclass, field
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

INTERRUPTED = 128 + signal.SIGINT


@dataclass
class Interrupt:
    """Turns the first signal into an event, so that nothing is left halfway.

    The second one ends the process as `kill -9` would, which loses nothing either: raised as an
    exception somewhere in a library, it could be swallowed there, or crash it.
    """

    requested: threading.Event = field(default_factory=threading.Event)
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
            signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals; again after a library took them."""
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.signal(number, self._heard)
            self._before.setdefault(number, before)

    def _heard(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.requested.is_set():
            self._leave()
        self.requested.set()
        _say(1, "\nstopping; nothing is lost\n")

    def _leave(self) -> NoReturn:
        if os.isatty(1):
            _say(1, "\x1b[?25h")  # a live table hides the cursor
        _say(2, "interrupted at once; nothing is lost: the same command continues\n")
        os._exit(INTERRUPTED)


def _say(stream: int, text: str) -> None:
    """Write past Python's buffer, which the interrupted code may hold; a pipe may be broken."""
    with contextlib.suppress(OSError):
        os.write(stream, text.encode())
