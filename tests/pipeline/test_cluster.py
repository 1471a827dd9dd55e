"""A search on two Ray nodes, one of which dies, and an MLflow server that comes and goes."""

import os
import subprocess
import urllib.request

import psutil
import pytest

from tests.pipeline.cluster import (
    BIN,
    begin_node,
    count_nodes,
    end,
    start_head,
    take_token,
    wait_for,
)
from tests.pipeline.conftest import free_port, next_trial, run, search_arguments, start, states
from tests.pipeline.killing import arguments, check


@pytest.fixture
def nodes(monkeypatch):
    """Two nodes with a core each, with Ray's token as on a real cluster: address, processes."""
    take_token(monkeypatch)
    sizes = ("--num-cpus=1", f"--object-store-memory={100 << 20}")
    address, head = start_head(*sizes)
    worker = begin_node(f"--address={address}", "--node-ip-address=127.0.0.2", *sizes)
    wait_for(lambda: count_nodes(address) == 2, worker)
    yield address, [head, worker]
    for process in (head, worker):
        end(process)


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
    wait_for(lambda: _trains_on(second), search)
    end(second)
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
        lean = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with open(tmp_path / "server.log", "a") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, env=lean
            )
        wait_for(lambda: _healthy(uri), process)
        return process

    server = serve()
    typed = search_arguments(tmp_path, "--tracking-uri", uri, trials=6, epochs=6)
    search = start("search", *typed)
    next_trial(search)
    end(server)
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
        end(server)


def _healthy(uri):
    try:
        return urllib.request.urlopen(f"{uri}/health", timeout=1).status == 200
    except OSError:
        return False
