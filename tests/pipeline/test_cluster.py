"""A search on Ray nodes that join and die, and an MLflow server that comes and goes."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

import psutil
import pytest

from pipeline.views.live import NO_ROOM
from tests.support.cluster import BIN, end, start_head, start_node, take_token
from tests.support.killing import arguments, check
from tests.support.processes import call, free_port, line_of, next_trial, start, wait_for
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


def phases_at(address, within="False"):
    """Return what workers have told the head of their phases, in a process that has its token.

    Args:
        address: address of the head.
        within: Python that says of `found` whether to look again.
    """
    code = (
        "import json, time; from ray._raylet import GcsClient\n"
        f"head, found = GcsClient({address!r}), []\n"
        "def look():\n"
        "    keys = head.internal_kv_keys(b'', b'regmix')\n"
        "    found[:] = [json.loads(head.internal_kv_get(k, b'regmix') or b'[0]') for k in keys]\n"
        f"look()\nwhile {within}:\n    time.sleep(0.1); look()\nprint(json.dumps(found))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


@pytest.fixture
def empty_head(monkeypatch):
    """A head that no trial may run on, and a list of nodes that are ended with it."""
    take_token(monkeypatch)
    address, head = start_head("--num-cpus=0")
    joined = []
    yield address, joined
    for process in (head, *joined):
        end(process)


@pytest.mark.process(seconds=20)
def test_nodes_that_join_within_a_search_are_used_and_without_any_it_waits(tmp_path, empty_head):
    address, joined = empty_head
    more = ("--address", address, "--concurrency", "2", "--pruner", "none")
    search = start("search", *search_arguments(tmp_path, *more, trials=9, epochs=100))
    line_of(search, NO_ROOM)
    for number in (1, 2):  # the second one joins within the first one's trial
        joined.append(start_node(address, f"127.0.0.{number + 1}", "--num-cpus=1"))
        line_of(search, f"the cluster has room for {number} trials at once now")
        wait_for(lambda: _trains_on(joined[-1]), search)
    trains = "not any(phase[0] == 'training' for phase in found)"
    assert all(phase[2] == 100 for phase in phases_at(address, trains) if phase[0] == "training")
    for node in joined:
        end(node)
    line_of(search, NO_ROOM)
    search.send_signal(signal.SIGINT)
    out, err = search.communicate(timeout=100)
    assert search.returncode == 130, out + err
    assert "of the time of 0 to 2 parallel trials" in " ".join(out.split())
    assert phases_at(address) == []
    trials = states(tmp_path).values()
    assert {trial.state for trial in trials} <= {"COMPLETE", "WAITING"}
    assert len([trial for trial in trials if trial.begun]) >= 2


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
