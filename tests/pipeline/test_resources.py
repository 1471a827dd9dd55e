"""An existing cluster, and GPU shares: Ray is given pretended GPUs, which it only counts."""

import subprocess

import pytest

from tests.pipeline.conftest import run, search_arguments, states
from tests.pipeline.test_cluster import BIN, _end, _nodes, _wait_for
from tests.pipeline.test_two_drivers import free_port


@pytest.fixture
def cluster(monkeypatch):
    """A head node of 4 cores and 1 pretended GPU; yields its address."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a token of this test alone, made of letters")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    address = f"127.0.0.1:{free_port()}"
    sizes = ["--num-cpus=4", "--num-gpus=1", "--include-dashboard=false", "--block"]
    where = [f"--port={address.rpartition(':')[2]}", "--node-ip-address=127.0.0.1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([BIN / "ray", "start", "--head", *where, *sizes], **quiet)
    _wait_for(lambda: _nodes(address) == 1, process)
    yield address
    _end(process)  # and no other test's Ray, as `ray stop` would


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
