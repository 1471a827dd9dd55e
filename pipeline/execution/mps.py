"""NVIDIA's Multi-Process Service for the processes of one search, where it can be had.

Without it the processes on a card take turns; with it their kernels run side by side. The control
program is this session's own: its pipes lie in the session's folder, and only a Ray that is started
from here sees them. A shell waits beside it for the end of this process, however that comes, and
tells it to quit.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from regmix.errors import cut, first_line

CONTROL = "nvidia-cuda-mps-control"
_PIPES, _LOGS = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
_DRIVER = Path("/proc/driver/nvidia/version")
_SECONDS = 10  # that one of its answers may take
_MOST = 10_000  # bytes of an answer that are read
_QUIT = f"cat >/dev/null; echo quit | timeout {_SECONDS} {CONTROL}"


@contextlib.contextmanager
def mps(folder: Path) -> Iterator[bool]:
    """Let the processes that are started from here share cards by MPS.

    Where that can't be done one line says why, and the search goes on without it.

    Args:
        folder: folder of the session, for its pipes and logs.

    Yields:
        whether it runs.
    """
    before = {name: os.environ.get(name) for name in (_PIPES, _LOGS)}
    place = folder / "mps"
    place.mkdir(mode=0o700)
    os.environ.update({_PIPES: str(place), _LOGS: str(place)})
    with contextlib.ExitStack() as stack:
        stack.callback(_restore, before)
        reason = _started(stack)
        if reason:
            stack.close()
            print(f"--mps: {reason}, so trials share a GPU without it", flush=True)
        yield not reason


def _restore(before: dict[str, str | None]) -> None:
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value


def _started(stack: contextlib.ExitStack) -> str:
    """Start the service, to be ended with the stack; return why it can't, '' where it can."""
    if shutil.which(CONTROL) is None:
        return f"there is no program {CONTROL} here"
    if not _DRIVER.exists():
        return "no driver for a GPU is loaded here"
    try:
        _asked(["-d"], "")
        stack.callback(_end, _waiting())
        _asked([], f"start_server -uid {os.getuid()}\n")
        if not _serves():
            return "its server did not come up; see the compute mode of the GPU (nvidia-smi -q)"
    except subprocess.TimeoutExpired:
        return f"{CONTROL} did not answer within {_SECONDS} s"
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stdout", "") or str(error)
        return f"{CONTROL} refused ({cut(first_line(Exception(said)), 120)})"
    return ""


def _asked(options: list[str], words: str) -> str:
    """Return what the control program answers.

    Raises:
        CalledProcessError: where its status is not 0; it holds all that was said.
        TimeoutExpired: where it hangs.
    """
    with tempfile.TemporaryFile() as said:  # no pipe: the service may hold it open as it runs on
        done = subprocess.run(
            [CONTROL, *options],
            input=words.encode(),
            stdout=said,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
        )
        said.seek(0)
        answer = said.read(_MOST).decode(errors="replace")
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, CONTROL, answer)
    return answer


def _serves() -> bool:
    """Tell whether a server runs, which a card or a container may refuse."""
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        if any(line.strip().isdigit() for line in _asked([], "get_server_list\n").splitlines()):
            return True
        time.sleep(0.2)
    return False


def _waiting() -> "subprocess.Popen[bytes]":
    """Return a shell that tells the service to quit when this process lets go of its pipe."""
    return subprocess.Popen(
        ["/bin/sh", "-c", _QUIT],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # it outlives Ctrl-C
    )


def _end(waiting: "subprocess.Popen[bytes]") -> None:
    """Let go of the pipe, and wait until the service was told."""
    assert waiting.stdin is not None, "it was started with a pipe"
    waiting.stdin.close()
    waiting.wait()
