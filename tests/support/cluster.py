"""Ray nodes on this machine, each of which can be ended alone, as a power cut would."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.pipeline.conftest import free_port

BIN = Path(sys.executable).parent


def take_token(monkeypatch):
    """Let all that this test starts have one token, and no other test's."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a token of this test alone, made of letters")


def start_head(*sizes):
    """Start a head node and wait for it; return its address and its process."""
    address = f"127.0.0.1:{free_port()}"
    port = f"--port={address.rpartition(':')[2]}"
    where = ("--head", port, "--node-ip-address=127.0.0.1", "--include-dashboard=false")
    process = begin_node(*where, *sizes)
    wait_for(lambda: count_nodes(address) == 1, process)
    return address, process


def begin_node(*options):
    """Start a node, and return its process before it is up."""
    command = [BIN / "ray", "start", *options, "--disable-usage-stats", "--block"]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ)
    )


def wait_for(happened, process):
    """Wait for it while the process lives."""
    while not happened():
        assert process.poll() is None, "it ended"
        time.sleep(0.05)


def count_nodes(address):
    """How many nodes the cluster has."""
    status = [BIN / "ray", "status", f"--address={address}"]
    said = subprocess.run(status, capture_output=True, text=True, env=dict(os.environ)).stdout
    return said.count("node_")


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
