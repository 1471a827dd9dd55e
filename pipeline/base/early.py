"""The first thing that a command does, before its imports: hear Ctrl-C, and have three streams.

Python itself answers Ctrl-C with a traceback, and gives the number of a stream that was closed to
the next file that is opened. It imports little, so that it comes within milliseconds.
"""

import atexit
import gc
import os
import signal
import sys

INTERRUPTED = 128 + signal.SIGINT
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COMMANDS = (
    *("search", "confirm", "compare", "export", "train", "evaluate"),
    *("attack", "status", "report", "ui"),
)


def begin() -> None:
    """Prepare the process of a command; do nothing where its file is only imported."""
    if name() not in COMMANDS:
        return
    for number in SIGNALS:
        hear(number, _leave)
    atexit.register(gc.freeze)  # what is left goes with the process: to look through it takes 0.7 s
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one


def name() -> str:
    """Return the name of the command that was typed, such as 'search'."""
    found = os.path.basename(sys.argv[0])  # in words of any Python: which one it is comes next
    found = found[:-3] if found.endswith(".py") else found
    return found[7:] if found.startswith("regmix-") else found


def hear(number: int, handler: object) -> object:
    """Let a handler hear a signal, and return the one before; nohup's SIGHUP stays ignored."""
    before = signal.getsignal(number)
    if number != signal.SIGHUP or before != signal.SIG_IGN:
        signal.signal(number, handler)  # type: ignore[arg-type]
    return before


def _leave(number: int, frame: object) -> None:  # noqa: ARG001
    """End at once: nothing is begun yet, or all is done."""
    try:
        os.write(2, f"{name()}: interrupted\n".encode())
    finally:
        os._exit(INTERRUPTED)
