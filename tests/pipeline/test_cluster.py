"""A search on two Ray nodes, one of which dies, and an MLflow server that comes and goes."""

import os
import subprocess
import urllib.request

import psutil
import pytest

from tests.support.cluster import BIN, end, start_head, start_node, take_token
from tests.support.killing import arguments, check
from tests.support.processes import call, free_port, next_trial, start, wait_for
from tests.support.studies import measured, search_arguments, shown, states


@pytest.fixture
def nodes(monkeypatch):
    """Two nodes with a core each, with Ray's token as on a real cluster: address, processes."""
    take_token(monkeypatch)
    address, head = start_head("--num-cpus=1")
    second = start_node(address, "127.0.0.2", "--num-cpus=1")
    yield address, second
    for process in (head, second):
        end(process)


def _trains_on(process):
    """Whether a worker of this node is within an epoch."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
        return any(one.name() == "ray::ResourceTrainable.train" for one in family)
    except psutil.Error:
        return False


@pytest.mark.process(seconds=20)
def test_a_search_outlives_one_of_two_nodes_and_finds_the_same_study(tmp_path, nodes, undisturbed):
    address, second = nodes
    place = tmp_path / "runs"
    search = start("search", *arguments(place), "--address", address)
    wait_for(lambda: _trains_on(second), search)
    end(second)
    out, err = search.communicate(timeout=200)
    assert search.returncode == 0, out + err
    check(place, out, undisturbed)
    trials = states(place).values()
    assert ["its worker process died"] in [trial.retries for trial in trials]
    assert "FAIL" not in {trial.state for trial in trials}


@pytest.mark.process(seconds=25)
def test_an_mlflow_server_that_is_stopped_and_started_shows_all_in_the_end(tmp_path, cluster):
    port = free_port()
    uri, database = f"http://127.0.0.1:{port}", tmp_path / "server.db"

    def serve():
        command = [str(BIN / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--backend-store-uri", f"sqlite:///{database}", "--workers", "1"]
        command += ["--default-artifact-root", str(tmp_path / "artifacts")]
        lean = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with open(tmp_path / "server.log", "a") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=lean
            )
        wait_for(lambda: _healthy(uri), process)
        return process

    server = serve()
    joined = (*cluster, "--concurrency", "1", "--tracking-uri", uri, "--pruner", "none")
    search = start("search", *search_arguments(tmp_path, *joined, trials=4))
    next_trial(search)
    end(server)
    next_trial(search)  # training goes on
    next_trial(search)
    out, err = search.communicate(timeout=200)
    assert search.returncode == 0, out + err
    assert "MLflow lags behind" in err and "--study wamr-digits --sync, brings" in err
    server = serve()
    try:
        synced = call(
            "search", "--study", "wamr-digits", "--sync", "--runs", tmp_path, "--tracking-uri", uri
        )
        assert synced.code == 0, synced.out + synced.err
        (views, summaries), known = shown(tmp_path, uri=uri), states(tmp_path)
        assert views.keys() == known.keys() == set(range(4))
        for number, view in views.items():
            trial = known[number]
            assert view.data.tags["state"] == trial.state
            last = measured(trial, trial.last_epoch)
            assert view.data.metrics["valid_robust"] == last["valid_robust"]
        found = {view.info.status for view in (*views.values(), *summaries)}
        assert found <= {"FINISHED", "KILLED"}
    finally:
        end(server)


def _healthy(uri):
    try:
        return urllib.request.urlopen(f"{uri}/health", timeout=1).status == 200
    except OSError:
        return False
