"""A search on two Ray nodes, one of which dies, and an MLflow server that comes and goes."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.pipeline.conftest import next_trial, run, search_arguments, start, states
from tests.pipeline.killing import arguments, check
from tests.pipeline.test_two_drivers import free_port

BIN = Path(sys.executable).parent


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    """Two nodes with a core each, with Ray's token as on a real cluster: address, processes."""
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a token of this test alone, made of letters")
    port, common = free_port(), ["--num-cpus=1", "--disable-usage-stats", "--block"]
    store = f"--object-store-memory={100 << 20}"
    head = ["--head", f"--port={port}", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": dict(os.environ)}
    begun = [subprocess.Popen([BIN / "ray", "start", *head, *common, store], **quiet)]
    _wait_for(lambda: _nodes(f"127.0.0.1:{port}") == 1, begun[0])
    worker = [f"--address=127.0.0.1:{port}", "--node-ip-address=127.0.0.2"]
    begun.append(subprocess.Popen([BIN / "ray", "start", *worker, *common, store], **quiet))
    _wait_for(lambda: _nodes(f"127.0.0.1:{port}") == 2, begun[1])
    yield f"127.0.0.1:{port}", begun
    for process in begun:
        _end(process)


def _wait_for(happened, process):
    while not happened():
        assert process.poll() is None, "it ended"
        time.sleep(0.05)


def _nodes(address):
    """How many nodes the cluster has."""
    status = [BIN / "ray", "status", f"--address={address}"]
    said = subprocess.run(status, capture_output=True, text=True, env=dict(os.environ)).stdout
    return said.count("node_")


def _end(process):
    """Kill a node as a power cut would: all of its processes at once."""
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


def _trains_on(process):
    """Whether a worker of this node is within an epoch."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
        return any(one.name() == "ray::ResourceTrainable.train" for one in family)
    except psutil.Error:
        return False


def test_a_search_outlives_one_of_two_nodes_and_finds_the_same_study(tmp_path, nodes, request):
    address, (_, second) = nodes
    undisturbed = request.getfixturevalue("undisturbed")  # beside a cluster that it must not join
    place = tmp_path / "runs"
    search = start("search", *arguments(place), "--address", address)
    _wait_for(lambda: _trains_on(second), search)
    _end(second)
    out, err = search.communicate(timeout=200)
    assert search.returncode == 0, out + err
    check(place, out, undisturbed)
    retried = [t.user_attrs.get("retries") for t in states(place).values()]
    assert ["its worker process died"] in retried
    assert "FAIL" not in {trial.state.name for trial in states(place).values()}


def test_an_mlflow_server_that_is_stopped_and_started_shows_all_in_the_end(tmp_path):
    port = free_port()
    uri, database = f"http://127.0.0.1:{port}", tmp_path / "server.db"

    def serve():
        command = [BIN / "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--backend-store-uri", f"sqlite:///{database}", "--workers", "1"]
        command += ["--default-artifact-root", str(tmp_path / "artifacts")]
        with open(tmp_path / "server.log", "a") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        _wait_for(lambda: _healthy(uri), process)
        return process

    server = serve()
    typed = search_arguments(tmp_path, "--tracking-uri", uri, trials=6, epochs=6)
    search = start("search", *typed)
    next_trial(search)
    _end(server)
    next_trial(search)  # training goes on
    next_trial(search)
    out, err = search.communicate(timeout=200)
    assert search.returncode == 0, out + err
    assert "MLflow lags behind" in err and "--study wamr-digits --sync, brings" in err
    server = serve()
    try:
        synced = run(
            "search", "--study", "wamr-digits", "--sync", "--runs", tmp_path, "--tracking-uri", uri
        )
        assert synced.code == 0, synced.out + synced.err
        import mlflow

        client = mlflow.MlflowClient(uri)
        experiment = client.get_experiment_by_name("wamr-digits")
        found = client.search_runs([experiment.experiment_id])
        trials = [view for view in found if "trial" in view.data.tags]
        known = states(tmp_path)
        assert len(trials) == len(known) == 6
        for view in trials:
            trial = known[int(view.data.tags["trial"])]
            assert view.data.tags["state"] == trial.state.name
            last = trial.user_attrs[f"epoch_{trial.last_step}"]
            assert view.data.metrics["valid_robust"] == last["valid_robust"]
        assert {view.info.status for view in found} <= {"FINISHED", "KILLED"}
    finally:
        _end(server)


def _healthy(uri):
    try:
        return urllib.request.urlopen(f"{uri}/health", timeout=1).status == 200
    except OSError:
        return False
