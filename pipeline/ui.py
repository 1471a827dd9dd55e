"""Show the studies of a folder in MLflow's page, and print the addresses of their good views."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from pipeline import command, views
from regmix.errors import InputError
from regmix.ranges import Bounds, check

_PATIENCE = 120  # seconds for MLflow's first answer; ten are usual
_PAUSE = 5  # seconds, after which a study that has begun meanwhile is shown too
_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_QUIET = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
_STUDIES = "SELECT 1 FROM experiments WHERE experiment_id > 0 AND lifecycle_stage = 'active'"
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by a proxy


def parser() -> command.Parser:
    """Return the command line's options."""
    result = command.Parser(prog="ui.py", description=__doc__, allow_abbrev=False)
    result.add_argument("--runs", default=command.RUNS, help="folder of the searches (mlruns)")
    result.add_argument("--host", default="127.0.0.1", help="to listen on (this machine alone)")
    result.add_argument("--port", default=5000, help="to listen on (5000)")
    return result


def check_database(path: Path) -> None:
    """Raise InputError where MLflow's database is damaged, or holds no study yet.

    A search that has just begun is still making the tables; a server would get in its way.
    """
    found = None
    try:
        if path.is_file():
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as base:
                found = base.execute(_STUDIES).fetchone()
    except sqlite3.DatabaseError as error:
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


def check_free(host: str, port: int) -> None:
    """Raise InputError where nothing can listen, such as on a port that is taken."""
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # Python appends the address
        raise InputError(
            f"--port {port}: can't listen on {host}:{port} ({reason}); choose another by --port, "
            f"or `make ui PORT={port % 65535 + 1}`"
        ) from None


def _answers(process: "subprocess.Popen[bytes]", address: str) -> bool:
    """Return True once the server answers, and False where it has ended or takes too long."""
    end = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), _DIRECT.open(f"{address}/health", timeout=30):
            return True
        time.sleep(0.1)
    return False


def _studies(address: str) -> dict[str, str]:
    """Return number -> name of the studies; none where the server is busy or at its end."""
    api = f"{address}/api/2.0/mlflow/experiments/search?max_results=1000"
    try:
        with _DIRECT.open(api, timeout=30) as response:
            found = json.load(response).get("experiments", [])
    except OSError:
        return {}
    ours = [one for one in found if views.VIEW_TAG in [tag["key"] for tag in one.get("tags", [])]]
    return {one["experiment_id"]: one["name"] for one in ours}


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the server and all its processes; a second Ctrl-C doesn't stop this."""
    for ending in _ENDINGS:
        signal.signal(ending, signal.SIG_IGN)
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, ending)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def _serve(words: list[str], address: str, runs: Path, said: IO[bytes]) -> None:
    """Run the server until Ctrl-C, and print each study; InputError where the server fails."""
    process = subprocess.Popen(
        words,
        env=os.environ | _QUIET,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        start_new_session=True,
    )
    try:
        ready = _answers(process, address)
        if ready:
            print(f"{address} shows {runs} until Ctrl-C", flush=True)
        shown: dict[str, str] = {}
        while ready and process.poll() is None:
            for number, name in sorted(_studies(address).items() - shown.items()):
                print(f"{name} trials: {address}/{views.address(number)}")
                print(f"{name} charts: {address}/{views.address(number, charts=True)}", flush=True)
                shown[number] = name
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PAUSE)
    except KeyboardInterrupt:
        return
    finally:
        _end(process)
    said.seek(0)
    last = (said.read().decode(errors="replace").strip().splitlines() or ["without a word"])[-1]
    raise InputError(f"{runs}: MLflow can't show it ({last}); is another version installed?")


def main(argv: Sequence[str]) -> int:
    """Return 0 once Ctrl-C ended it."""
    args = parser().parse_args(argv)
    port = check("command line", "--port", args.port, Annotated[int, Bounds(1, 65535)])
    assert isinstance(port, int)
    path = Path(args.runs).resolve() / "mlflow.db"
    check_database(path)
    check_free(args.host, port)
    for ending in _ENDINGS:
        if ending != signal.SIGHUP or signal.getsignal(ending) != signal.SIG_IGN:  # nohup
            signal.signal(ending, signal.default_int_handler)
    words = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{path}"]
    words += ["--host", args.host, "--port", str(port), "--workers", "1"]
    words += ["--uvicorn-opts", "--log-level warning"]
    print("MLflow starts, which takes about ten seconds ...", flush=True)
    shown = "127.0.0.1" if args.host == "0.0.0.0" else args.host
    with tempfile.TemporaryFile() as said:
        _serve(words, f"http://{shown}:{port}", path.parent, said)
    return 0


if __name__ == "__main__":
    sys.exit(command.run("ui", main))
