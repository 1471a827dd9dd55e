"""Commands as a user types them: as processes, or in this one where only their words count."""

import contextlib
import importlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.base import cli
from regmix import registry
from tests.support.forked import Forked
from tests.support.plugin_folders import own_registry

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Finished:
    """A command that has ended: its status and all that it printed."""

    code: int
    out: str
    err: str

    @property
    def one_line(self):
        """The error as a user sees it: one line, no traceback."""
        assert self.code == 2, self.out + self.err
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.out
        return lines[0]


def start(script, *args, room="pipeline", cwd=None, environment=None, cold=False):
    """Start a command; `cold` is exactly as a user does, else the libraries are loaded already."""
    words, variables = _words(room, script, args), {**os.environ, **(environment or {})}
    if not cold:
        return Forked(words, variables, cwd)
    return subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env=variables,
        start_new_session=True,
        preexec_fn=_hearing_signals,
    )


def _hearing_signals():
    """As in a terminal: in a shell's background, or under nohup, they are ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def run(script, *args, room="pipeline", cwd=None, environment=None, cold=False):
    process = start(script, *args, room=room, cwd=cwd, environment=environment, cold=cold)
    out, err = process.communicate(timeout=400)
    return Finished(process.returncode, out, err)


def _words(room, script, args):
    return [str(ROOT / room / f"{script}.py"), *map(str, args)]


def call(script, *args, room="pipeline"):
    """Run a command within this process, with its error handling: no start, the same words.

    Its environment variables and the working folder are as before afterwards, and plug-ins that it
    installed are gone.
    """
    command = importlib.import_module(f"{room}.{script}")
    words, variables = sys.argv, dict(os.environ)
    out, err = io.StringIO(), io.StringIO()
    sys.argv = _words(room, script, args)
    apart = contextlib.nullcontext() if registry._plugins.files else own_registry()
    try:
        with apart, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = cli.run(script, command.main)
    finally:
        sys.argv = words
        os.environ.clear()
        os.environ.update(variables)
    return Finished(code, out.getvalue(), err.getvalue())


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def wait_for(happened, process):
    """Wait for it while the process lives."""
    while not happened():
        assert process.poll() is None, f"it ended: {process.communicate()}"
        time.sleep(0.05)


def line_of(process, beginning):
    """Wait for the next line that begins so, and return it."""
    for line in process.stdout:
        if line.startswith(beginning):
            return line
    raise AssertionError(f"it ended: {process.communicate()[1]}")


def next_trial(process):
    """Wait for the next line about an ended trial, and return it."""
    return line_of(process, "trial")


def interrupt_after(process, beginning, how):
    """Wait for a line that begins so, send the signal, and return all that was printed."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(beginning):
            process.send_signal(how)
            break
    out, err = process.communicate(timeout=100)
    return Finished(process.returncode, "".join(lines) + out, err)
