"""Commands as processes of their own that need not load Ray, MLflow and Optuna again.

Each is forked from a process that has imported those libraries and nothing of ours, and then runs
the script from its first line on, as `python SCRIPT` does: with its own arguments, environment,
folder, session, signals and streams. Four seconds of every start are saved so.
"""

import atexit
import contextlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
from functools import cache
from multiprocessing import forkserver
from multiprocessing.reduction import DupFd
from pathlib import Path

LIBRARIES = [
    "ray.tune",
    "ray.tune.impl.tuner_internal",
    "mlflow.store.tracking.sqlalchemy_store",
    "optuna.visualization",
]


@cache
def _context():
    """Start the process with the libraries, which read these variables when they are imported."""
    from pipeline.execution.ray_environment import ALWAYS

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    before = dict(os.environ)
    os.environ.update({"MLFLOW_DISABLE_TELEMETRY": "true", **ALWAYS})
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return context


class Forked:
    """A running command, with what the tests use of `subprocess.Popen`."""

    def __init__(self, words, environment, cwd):
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        context = _context()
        streams = DupFd(out_end), DupFd(err_end)
        self.args = words
        given = (words, environment, str(cwd or os.getcwd()), streams)
        self._process = context.Process(target=_main, args=given)
        self._process.start()
        os.close(out_end)
        os.close(err_end)
        self.stdout, self.stderr = os.fdopen(out), os.fdopen(err)
        self._readers: list[threading.Thread] = []
        self._rest = ["", ""]

    @property
    def pid(self):
        return self._process.pid

    @property
    def returncode(self):
        return self.poll()

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self.poll() is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.poll()

    def communicate(self, timeout=None):
        """Return the rest of what it prints, once it has ended; after a timeout it goes on."""
        if not self._readers:
            streams = enumerate((self.stdout, self.stderr))
            self._readers = [threading.Thread(target=self._read, args=pair) for pair in streams]
            for reader in self._readers:
                reader.daemon = True
                reader.start()
        self.wait(timeout)
        for reader in self._readers:
            reader.join()
        return tuple(self._rest)

    def _read(self, place, stream):
        self._rest[place] = stream.read()

    def send_signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def _main(words, environment, cwd, streams):
    """Be the process of `python WORDS`."""
    os.setsid()
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream, target in zip(streams, (1, 2), strict=True):
        os.dup2(stream.detach(), target)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # TMPDIR may be another one
    os.chdir(cwd)
    sys.argv = words
    sys.path.insert(0, str(Path(words[0]).parent))
    try:
        runpy.run_path(words[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()
