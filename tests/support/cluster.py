"""Ray nodes on this machine, each of which can be ended alone, as a power cut would."""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.processes import free_port

BIN = Path(sys.executable).parent
TOKEN = {"RAY_AUTH_MODE": "token"}
TOKEN |= {"RAY_AUTH_TOKEN": "a token of these tests alone, made of letters"}
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
# Without what no search uses, and with ports that no other node's workers have.
_LEAN = (
    "--disable-usage-stats",
    "--include-log-monitor=false",
    "--min-worker-port=0",
    "--max-worker-port=0",
    f"--object-store-memory={100 << 20}",
)


def take_token(monkeypatch):
    """Let all that this test starts have one token, and no other test's."""
    for name, value in TOKEN.items():
        monkeypatch.setenv(name, value)


def start_head(*sizes):
    """Start a head node; return its address and its process."""
    address = f"127.0.0.1:{free_port()}"
    port = f"--port={address.rpartition(':')[2]}"
    lean = ("--include-dashboard=false", "--no-monitor")
    process = _start("--head", port, "--node-ip-address=127.0.0.1", *lean, *sizes)
    return address, process


def start_node(address, own, *sizes):
    """Start another node of the head at `address` under an address of its `own`."""
    return _start(f"--address={address}", f"--node-ip-address={own}", *sizes)


def _start(*options):
    """Start a node, and return its process once the head knows it."""
    command = [BIN / "ray", "start", *options, *_LEAN, "--block"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        preexec_fn=_ends_with_its_parent,
    )
    lines = []
    for line in process.stdout:
        if "Ray runtime started" in line:
            return process
        lines.append(line)
    raise AssertionError(f"Ray did not start: {''.join(lines)}")


def _ends_with_its_parent():
    """Let Linux send SIGTERM, upon which a node ends all its processes, to one that is left."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGTERM)


def end(process):
    """Kill a process and all that it started at once; `ray stop` would end other tests' Ray too."""
    try:
        family = [*psutil.Process(process.pid).children(recursive=True)]
    except psutil.Error:
        family = []
    for one in family:
        try:
            one.kill()
        except psutil.Error:
            continue
    process.kill()
    process.wait()
