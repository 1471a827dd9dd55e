"""Ray nodes on this machine, each of which can be ended alone, as a power cut would."""

import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.processes import free_port

BIN = Path(sys.executable).parent
# Without what no search uses, and with ports that no other node's workers have.
_LEAN: tuple[str, ...] = ("--disable-usage-stats", "--include-log-monitor=false")
_LEAN += ("--min-worker-port=0", "--max-worker-port=0", f"--object-store-memory={100 << 20}")


def take_token(monkeypatch):
    """Let all that this test starts have one token, and no other test's."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a token of these tests alone, made of letters")


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
    )
    lines = []
    for line in process.stdout:
        if "Ray runtime started" in line:
            return process
        lines.append(line)
    raise AssertionError(f"Ray did not start: {''.join(lines)}")


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
