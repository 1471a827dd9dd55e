"""A case in a process of its own, within limits of time and memory, and what came of it."""

import contextlib
import importlib
import os
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base import cli
from tests.support.fuzzing import cut
from tests.support.fuzzing.cases import KINDS, Case

ROOT = Path(__file__).resolve().parents[3]
SECONDS, BYTES, LONGEST = 10, 1 << 30, 300
ACCEPTED, CRASHED = 80, 81  # exit statuses that no command has


@dataclass
class Running:
    """A case under way.

    kind: name of its kind.
    number: number of the case.
    case: what is run.
    folder: its own folder, with its input and what it prints.
    """

    kind: str
    number: int
    case: Case
    folder: Path
    pid: int = 0
    memory: int = 0  # bytes above those that the process began with
    begun: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    looked: float = 0.0  # seconds after which its memory was looked at
    status: int | None = None
    ended: str = ""  # why it was ended from outside

    @property
    def out(self):
        return self._said("stdout")

    @property
    def err(self):
        return self._said("stderr")

    def _said(self, stream):
        """Return what it printed, read in the letters that the case asked for."""
        asked = self.case.variables.get("PYTHONIOENCODING", "").partition(":")[0]
        return (self.folder / stream).read_text(asked or None, errors="replace")

    @property
    def accepted(self):
        return self.status in (0, ACCEPTED)

    def fault(self):
        """Return what is wrong with what came of it, '' for nothing."""
        lines = self.err.splitlines()
        if self.ended:
            return self.ended
        if "Traceback" in self.out + self.err:
            return "a traceback"
        if self.accepted:
            return ""
        if self.status != 2:
            return f"status {self.status}"
        if len(lines) != 1 or len(lines[0]) >= LONGEST:
            return (
                f"{len(lines)} lines, the longest of {max(map(len, lines), default=0)} characters"
            )
        if not lines[0].startswith(f"{self.case.command}: "):
            return "the line does not begin with the command"
        return ""


def begin(seed, number, folder, base):
    """Make a case and start it."""
    chance = random.Random(f"{seed}/{number}")
    kind = chance.choices(list(KINDS), list(KINDS.values()))[0]
    folder.mkdir()
    running = Running(kind.__name__, number, kind(chance, folder, base), folder)
    (folder / "command").write_text(repr(running.case))
    for name in ("stdout", "stderr"):
        (folder / name).touch()
    sys.stdout.flush()
    sys.stderr.flush()
    running.begun = time.monotonic()
    running.pid = os.fork()
    if not running.pid:
        _be(running)
    return running


def _be(running):
    """Be the process of a case; never return."""
    status = CRASHED
    try:
        os.setsid()
        for name, number in (("stdout", 1), ("stderr", 2)):
            os.dup2(os.open(running.folder / name, os.O_WRONLY | os.O_APPEND), number)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(running.folder)
        with contextlib.suppress(ValueError):
            os.environ.update(running.case.variables)
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if running.case.cold:
            words = [str(ROOT / "pipeline" / f"{running.case.command}.py"), *running.case.words]
            os.execv(sys.executable, [sys.executable, *words])
        status = _run(running.case)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(status)


def _run(case):
    sys.argv = [f"pipeline/{case.command}.py", *case.words]
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
    command = importlib.import_module(f"pipeline.{case.command}")
    cut.install()
    try:
        return cli.run(case.command, command.main)
    except cut.Reached:
        return ACCEPTED
    except SystemExit as error:  # --help
        return error.code or 0


def look(running):
    """Return whether a case has ended; end it where it takes too long or too much."""
    pid, status = os.waitpid(running.pid, os.WNOHANG)
    running.seconds = time.monotonic() - running.begun
    if pid:
        running.status = os.waitstatus_to_exitcode(status)
        _end_group(running.pid)
        return True
    if running.seconds > running.looked + 0.05:
        running.looked = running.seconds
        running.memory = max(running.memory, _memory(running.pid))
    if running.seconds > SECONDS:
        running.ended = f"longer than {SECONDS} s"
    elif running.memory > BYTES:
        running.ended = f"more than {BYTES >> 20} MB"
    if running.ended:
        _end_group(running.pid)
        os.waitpid(running.pid, 0)
    return bool(running.ended)


def _memory(pid):
    """Return the bytes of a process that it does not share with the one that forked it."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Private_Dirty:"):
                return int(line.split()[1]) << 10
    return 0


def _end_group(pid):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def unlock(folder):
    """Make what a case left removable."""
    subprocess.run(["chmod", "-R", "u+rwX", str(folder)], check=False, stderr=subprocess.DEVNULL)
