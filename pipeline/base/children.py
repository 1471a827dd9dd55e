"""A command of this project as a process of its own, which hears what this one is told."""

import ctypes
import signal
import subprocess
import sys
from collections.abc import Sequence
from types import FrameType

from pipeline.base.paths import ROOT
from pipeline.base.signals import hearing
from pipeline.base.streams import printed_to

_PR_SET_PDEATHSIG = 1  # of Linux's prctl(2)


def run_command(script: str, words: Sequence[object], *, silent: bool = False) -> int:
    """Run a command to its end, and return its exit status. It prints where this process prints.

    A signal is passed on, so that the command answers it as if it had been typed: it ends in
    order, and at once where a second one comes. Where this process is killed, so is the command,
    on Linux: it holds its study, and the next one could not go on with it.

    Args:
        script: file name of the command, such as 'search.py'.
        words: what follows it.
        silent: whether what it prints goes nowhere; its errors are printed all the same.

    Returns:
        the exit status; that of a process which a signal ended is 128 and the signal's number.
    """
    heard, passed = list[int](), 0
    process: subprocess.Popen[bytes] | None = None

    def pass_on() -> None:
        nonlocal passed
        while process is not None and passed < len(heard):
            passed += 1
            process.send_signal(heard[passed - 1])

    def hear(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        heard.append(number)
        pass_on()

    typed = [sys.executable, str(ROOT / "pipeline" / script), *map(str, words)]
    with hearing(hear):
        process = subprocess.Popen(
            typed,
            stdout=subprocess.DEVNULL if silent else printed_to(),
            start_new_session=True,  # a terminal's Ctrl-C comes by way of this process alone
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        pass_on()
        status = process.wait()
    return status if status >= 0 else 128 - status


def _die_with_parent() -> None:
    """Ask the kernel to kill this process, still the new one's, where its parent is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
