"""An existing cluster, and GPU shares: Ray is given pretended GPUs, which it only counts."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline.conftest import run, search_arguments, states

RAY = Path(sys.executable).parent / "ray"


@pytest.fixture
def cluster():
    """A head node of 4 cores and 1 pretended GPU; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    subprocess.run([RAY, "get-auth-token", "--generate"], env=environment, capture_output=True)
    sizes = ["--num-cpus=4", "--num-gpus=1", "--include-dashboard=false"]
    command = [RAY, "start", "--head", f"--port={port}", *sizes]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    yield f"127.0.0.1:{port}"
    subprocess.run([RAY, "stop", "--force"], env=environment, capture_output=True)


def test_gpu_shares_decide_how_many_trials_run_at_once(cluster, tmp_path):
    options = ("--address", cluster, "--gpus-per-trial", "0.5", "--pruner", "none")
    result = run("search", *search_arguments(tmp_path, *options, trials=4, epochs=3))
    assert result.code == 0, result.err
    assert "of the time of 2 parallel trials" in result.out  # 4 cores, but half a GPU each
    trials = states(tmp_path)
    assert [trial.state.name for trial in trials.values()] == ["COMPLETE"] * 4
    assert most_at_once(trials.values()) == 2

    whole = run(
        "search", *search_arguments(tmp_path / "x", "--address", cluster), "--gpus-per-trial", "2"
    )
    assert "Ray has 4 cores and 1 GPUs, too few for one trial" in whole.one_line


def most_at_once(trials):
    """Return how many trials overlapped in time, at most."""
    begun = [(trial.datetime_start, 1) for trial in trials]
    ended = [(trial.datetime_complete, -1) for trial in trials]
    running = most = 0
    for _, change in sorted(begun + ended):
        running += change
        most = max(most, running)
    return most
