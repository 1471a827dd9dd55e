"""Show the studies of a folder in MLflow's page, and print the addresses of each study."""

import os
import sys

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from pipeline.base import early

early.begin()  # before what follows, which takes half a second

import argparse
import contextlib
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Annotated

from pipeline.base import installed

installed.prove(__file__)

from pipeline.base import cli, paths
from pipeline.base.narration import Waiting
from pipeline.tracking import artifacts, mlflow_page, page_server
from pipeline.tracking.uri import DATABASE, mlflow_url
from regmix.errors import InputError
from regmix.ranges import Bounds, check
from regmix.user_files import absolute

_PATIENCE = 120  # seconds for MLflow's first answer; ten are usual
_BUSY = 5  # seconds in which another program may write to the database
_NEWEST = 6  # studies whose addresses are printed at the start, races among them
_PAUSE = 5  # seconds, after which a study that has begun meanwhile is shown too
_QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
_QUIET |= {"PYTHONSAFEPATH": "1"}  # no folder of a user's may stand for a package
_KEPT = "MLFLOW_SERVER_"  # who may ask; MLflow's other variables would show another database
_STUDIES = "SELECT 1 FROM experiments WHERE experiment_id > 0 AND lifecycle_stage = 'active'"
_OURS = """
    SELECT experiment_id, name FROM experiments JOIN experiment_tags USING (experiment_id)
    WHERE key = ? AND lifecycle_stage = 'active' ORDER BY experiment_id
"""
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by a proxy


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return runs, host and port.

    Raises:
        InputError: for a port that is none.
    """
    parser = cli.Parser("ui.py", __doc__)
    parser.add_argument("--runs", default=paths.RUNS, help="folder of studies (default: mlruns)")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: 127.0.0.1, this machine alone)",
    )
    parser.add_argument("--port", default=5000, help="port to listen on (default: 5000)")
    args = parser.parse_args(argv)
    args.port = check("command line", "--port", args.port, Annotated[int, Bounds(1, 65535)])
    return args


def check_database(path: Path) -> None:
    """Raise InputError where MLflow's database is damaged, or holds no study yet.

    A search that has just begun is still making the tables; a server would get in its way.
    """
    found = None
    try:
        if os.path.isfile(path):  # also of a name that is too long
            with contextlib.closing(_read_only(path)) as base:
                found = base.execute(_STUDIES).fetchone()
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise InputError(
                f"{path}: is locked by another program; end it, or wait until it is done"
            ) from None
        if "no such" not in str(error):  # a table or column
            raise InputError(
                f"{path}: can't be read ({error}); move it away, and the next search on each "
                "study writes it anew"
            ) from None
    if found is None:
        raise InputError(
            f"{path}: no study is in it yet; run `make search` and wait for the first epoch, or "
            "choose another folder by --runs"
        )


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY)


def check_free(host: str, port: int) -> None:
    """Raise InputError where nothing can listen, such as on a port that is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except (OSError, ValueError) as error:  # ValueError: no name that a machine can have
        reason = getattr(error, "strerror", None) or str(error)
        reason = reason.partition(" (while")[0]  # Python appends the address
        raise InputError(
            f"--port {port}: can't listen on {host}:{port} ({reason}); choose another by --port, "
            f"or `make ui PORT={port % 65535 + 1}`"
        ) from None


def _studies(path: Path) -> dict[int, str]:
    """Return number -> name of the studies, from MLflow's database."""
    with contextlib.closing(_read_only(path)) as base:
        try:
            return dict(base.execute(_OURS, (mlflow_page.VIEW_TAG,)).fetchall())
        except sqlite3.DatabaseError:  # a search holds it for a moment, or MLflow will say more
            return {}


def _show(address: str, path: Path, over: Callable[[], bool]) -> None:
    """Print the addresses of the newest studies, also of those that begin later, until it is over.

    Args:
        address: address of the server.
        path: MLflow's database.
        over: tells whether the server has ended or shall end.
    """
    print(f"{address} shows {path.parent} until Ctrl-C")
    shown: set[int] = set()
    while not over():
        studies = _studies(path)
        new = sorted(studies.keys() - shown)
        if len(new) > _NEWEST:
            print(f"{len(new) - _NEWEST} earlier studies: {address}/{mlflow_page.LIST}")
        for number in new[-_NEWEST:]:
            table, charts = (mlflow_page.address(str(number), charts=c) for c in (False, True))
            print(f"{studies[number]} trials: {address}/{table}")
            print(f"{studies[number]} charts: {address}/{charts}")
        sys.stdout.flush()
        shown |= studies.keys()
        due = time.monotonic() + _PAUSE
        while time.monotonic() < due and not over():
            time.sleep(0.1)


def _answers(address: str, over: Callable[[], bool]) -> bool:
    """Return True once the server answers, and False where it is over or takes too long."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and not over():
        with contextlib.suppress(OSError), _DIRECT.open(f"{address}/health", timeout=30):
            return True
        time.sleep(0.1)
    return False


def _start(path: Path, args: argparse.Namespace, said: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Start MLflow's server in a process group of its own."""
    words = [sys.executable, "-m", page_server.__name__, "--backend-store-uri", mlflow_url(path)]
    words += ["--host", args.host, "--port", str(args.port), "--workers", "1"]
    words += ["--uvicorn-opts", "--log-level warning"]
    return subprocess.Popen(
        words,
        env=_environment(),
        cwd=path.parent,  # which uvicorn puts on the path of modules
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    """Return the variables of MLflow's server."""
    ours = {k: v for k, v in os.environ.items() if "MLFLOW_" not in k or k.startswith(_KEPT)}
    found = [str(paths.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]  # for its first page
    return ours | _QUIET | {"PYTHONPATH": os.pathsep.join(found)}


def _end(process: "subprocess.Popen[bytes]") -> None:
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def main(argv: Sequence[str]) -> int:
    """Return 0 once Ctrl-C ended it; none of MLflow's processes stays.

    Raises:
        InputError: for what was typed, or where MLflow does not start, with its last words.
    """
    args = parse(argv)
    path = absolute(args.runs, "--runs") / DATABASE
    check_database(path)
    check_free(args.host, args.port)
    with contextlib.suppress(sqlite3.OperationalError):  # read-only: the numbers are shown
        artifacts.follow(path)
    endings: list[int] = []  # not an exception: that could part the server from its end
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, lambda number, frame: endings.append(number))
    print("MLflow starts, which takes about ten seconds ...", flush=True)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(args.host, args.host)
    address = f"http://[{host}]:{args.port}" if ":" in host else f"http://{host}:{args.port}"
    with tempfile.TemporaryFile() as said:
        process = _start(path, args, said)
        try:
            with Waiting("MLflow starts"):
                up = _answers(address, lambda: bool(endings) or process.poll() is not None)
            if up:
                _show(address, path, lambda: bool(endings) or process.poll() is not None)
        finally:
            _end(process)
        if endings:
            return 0
        said.seek(0)
        words = said.read().decode(errors="replace").strip().splitlines() or ["without a word"]
    raise InputError(
        f"{path}: MLflow can't show it ({words[-1]}); use the version of MLflow that wrote it"
    )


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("ui", main)


if __name__ == "__main__":
    sys.exit(run())
