"""MLflow's page: the server as a user starts it, and the view that it opens with."""

import contextlib
import json
import shutil
import signal
import socket
import sqlite3
import urllib.request
from pathlib import Path

import pytest

from pipeline import ui
from pipeline.base.address import sqlite_file
from pipeline.study.events import TrialOutcome
from pipeline.study.records import TrialRecord, TrialWriter
from pipeline.tracking import mlflow_page
from pipeline.tracking.told import DIFFERENCES, Standing, Told
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.uri import connect, default_uri, mlflow_url
from tests.support.controllers import metrics
from tests.support.processes import call, free_port, start

SEARCHED = ("alpha", "epsilon_ratio")
PROBLEM = {"space": "wamr", "recipe": "digits", "epochs": 3}
PROBLEM |= {f"search.{name}": "Float(low=0, high=1)" for name in SEARCHED}
ENDS = {  # trial -> state and robust accuracies, as if it had been asked for 3 epochs
    0: ("COMPLETE", [0.1, 0.2, 0.3]),
    1: ("PRUNED", [0.4]),
    2: ("COMPLETE", [0.2, 0.3, 0.5]),
    3: ("FAIL", []),
    4: ("RUNNING", [0.9]),
    5: ("COMPLETE", [0.6, 0.5, 0.4]),
}
STANDINGS = {
    number: Standing(rank, difference)
    for number, (rank, difference) in {
        0: (3, None),
        1: (None, None),
        2: (1, (0.2, 0.1, 0.3)),
        5: (2, (0.1, -0.1, 0.3)),
    }.items()
}
TOLD = Told("done: 3 of 6 trials complete, best trial 2", "", STANDINGS)


def trials(ends, epochs):
    """The trials of a real study in memory that ended so."""
    import optuna

    result = optuna.create_study(direction="maximize")
    for number, (state, values) in ends.items():
        trial = result.ask()
        trial.suggest_float("alpha", 0, 1)
        trial.suggest_float("epsilon_ratio", 0, 1)
        write = TrialWriter(trial)
        write.config({"epochs": epochs, "loss": "regmix", "eval_steps": 20})
        for epoch, value in enumerate(values, start=1):
            write.epoch(metrics(epoch, value, last=epochs))
            trial.report(value, epoch)
        if state in ("PRUNED", "FAIL"):
            write.outcome(len(values), TrialOutcome(state, f"because of {number}"))
        if state != "RUNNING":
            value = values[-1] if state == "COMPLETE" else None
            result.tell(trial, value, state=optuna.trial.TrialState[state])
    return [TrialRecord(trial) for trial in result.get_trials()]


def tracker(runs, name="wamr-digits"):
    uri = f"sqlite:///{runs / 'mlflow.db'}"
    return Tracker(uri, name, runs / "artifacts", PROBLEM)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with the database that a search with such trials writes."""
    folder = tmp_path_factory.mktemp("shown")
    writer = tracker(folder)
    writer.tell(TOLD)
    for trial in trials(ENDS, epochs=3):
        writer.update(trial)
    writer.close("FINISHED", {"trials_COMPLETE": 3}, {"leaderboard.txt": "rank  trial"})
    assert writer.error == ""
    return folder


@pytest.fixture(scope="module")
def client(runs):
    return connect(f"sqlite:///{runs / 'mlflow.db'}")


@pytest.fixture(scope="module")
def experiment(client):
    return client.get_experiment_by_name("wamr-digits")


@pytest.fixture(scope="module")
def view(experiment):
    """What the page makes of the tag: columns, order, filter and charts."""
    return json.loads(json.loads(experiment.tags[mlflow_page.VIEW_TAG])["state"])


def processes(word):
    """Return the command lines of this machine's processes that hold the word."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(place.read_bytes().decode())
        except OSError:  # it ended just now
            continue
    return [line for line in found if word in line]


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def line_with(process, word):
    return next(line for line in process.stdout if word in line)


@pytest.mark.process(seconds=10)
def test_it_prints_addresses_serves_and_leaves_nothing_behind(
    runs, client, experiment, view, tmp_path
):
    for name in ("mlflow", "yaml", "random"):  # the user's, in the folder where they are
        (tmp_path / f"{name}.py").write_text("raise SystemExit('another module')")
    port = free_port()
    process = start("ui", "--runs", runs, "--port", port, cwd=tmp_path, cold=True)
    table = line_with(process, "wamr-digits trials: ").split()[-1]
    charts = line_with(process, "wamr-digits charts: ").split()[-1]
    base = f"http://127.0.0.1:{port}"
    number = experiment.experiment_id
    assert table.startswith(f"{base}/#/experiments/{number}/runs?workflowType=machine_learning")
    assert charts == f"{table}&compareRunsMode=CHART"
    with urllib.request.urlopen(f"{base}/health") as answer:
        assert answer.status == 200

    order = f"{view['orderByKey']} {'ASC' if view['orderByAsc'] else 'DESC'}"
    asked = {"experiment_ids": [number], "filter": view["searchFilter"], "order_by": [order]}
    request = urllib.request.Request(
        f"{base}/api/2.0/mlflow/runs/search",
        json.dumps(asked).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        names = [row["info"]["run_name"] for row in json.load(answer)["runs"]]
    assert names[:3] == ["trial 002", "trial 005", "trial 000"]  # the complete ones, best first
    assert sorted(names[3:]) == ["trial 001", "trial 003", "trial 004"]

    later = client.create_experiment("agr-digits")
    client.set_experiment_tag(later, mlflow_page.VIEW_TAG, experiment.tags[mlflow_page.VIEW_TAG])
    assert f"/#/experiments/{later}/runs?" in line_with(process, "agr-digits trials: ")

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert not listens(port)
    assert processes(str(runs)) == []


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.process
def test_it_can_be_ended_while_it_starts(runs, ending):
    process = start("ui", "--runs", runs, "--port", free_port(), cold=True)
    line_with(process, "MLflow starts")
    process.send_signal(ending)
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert processes(str(runs)) == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--port", "http"], "--port must be a whole number, but is 'http'; write one such as 20"),
        (["--port", "0"], "--port must lie in [1, 65535], but is '0'"),
        (["--port", "65536"], "--port must lie in [1, 65535], but is '65536'"),
        (["--prot", "1"], "unknown option '--prot'; did you mean '--port'?"),
        (["--host", "no.such.host.invalid"], "can't listen on no.such.host.invalid:5000"),
        (["--host", "x" * 300], "can't listen on xxx"),
        (["--host", "1.2.3.4"], "can't listen on 1.2.3.4:5000"),
        (["--host", "::2"], "can't listen on ::2:5000"),
        (["--host", "127.0.0.1:80"], "can't listen on 127.0.0.1:80:5000"),
        (["--runs", "x" * 300], "can't be opened (File name too long); shorten it"),
        (["--runs", "/dev/null"], "no study is in it yet"),
        (["--runs", "nowhere"], "no study is in it yet; run `make search`"),
    ],
)
def test_an_option_that_is_wrong(runs, arguments, expected):
    assert expected in call("ui", "--runs", runs, *arguments).one_line


def test_a_port_that_is_taken(runs):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        line = call("ui", "--runs", runs, "--port", port).one_line
    assert f"--port {port}: can't listen on 127.0.0.1:{port} (Address already in use)" in line
    assert "make ui PORT=" in line


def test_a_database_that_is_empty_or_damaged(tmp_path):
    path = tmp_path / "mlflow.db"
    path.touch()  # as a search makes it long before its first epoch
    assert "no study is in it yet" in call("ui", "--runs", tmp_path).one_line
    path.write_text("Dear reader, this is no database. " * 40)
    line = call("ui", "--runs", tmp_path).one_line
    assert "can't be read (file is not a database); move it away" in line


def test_a_database_that_another_program_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(ui, "_BUSY", 0.05)
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db", isolation_level=None)) as base:
        base.execute("CREATE TABLE experiments (x)")
        base.execute("BEGIN EXCLUSIVE")
        assert "is locked by another program" in call("ui", "--runs", tmp_path).one_line


class _SeenError(Exception):
    """What the server would have been started with."""


@pytest.mark.parametrize("name", ["plain", "a b?c#d%41 'e' $HOME"])
def test_the_server_shows_the_folder_s_database_whatever_mlflow_s_variables_say(
    runs, tmp_path, monkeypatch, name
):
    # by SQLite: to open and close the file here would drop the locks of those who hold it
    shutil.copytree(runs, tmp_path / name, ignore=shutil.ignore_patterns("mlflow.db*"))
    with (
        contextlib.closing(sqlite3.connect(runs / "mlflow.db")) as source,
        contextlib.closing(sqlite3.connect(tmp_path / name / "mlflow.db")) as copy,
    ):
        source.backup(copy)
    for word in ("TRACKING_URI", "BACKEND_STORE_URI", "REGISTRY_URI", "ARTIFACTS_DESTINATION"):
        monkeypatch.setenv(f"MLFLOW_{word}", "http://elsewhere")
    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", "sqlite:///elsewhere.db")
    monkeypatch.setenv("MLFLOW_SERVER_ALLOWED_HOSTS", "me")
    monkeypatch.setattr(
        ui, "_start", lambda *arguments: (_ for _ in ()).throw(_SeenError(arguments))
    )
    with pytest.raises(_SeenError) as seen:
        call("ui", "--runs", tmp_path / name, "--port", free_port())
    path, _, _ = seen.value.args[0]
    assert sqlite_file(mlflow_url(path)) == tmp_path / name / "mlflow.db"
    assert {key for key in ui._environment() if "MLFLOW" in key} == {
        "MLFLOW_SERVER_ALLOWED_HOSTS",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION",
        "MLFLOW_DISABLE_TELEMETRY",
    }
    moved = connect(default_uri(tmp_path / name)).get_experiment_by_name("wamr-digits")
    assert moved.artifact_location == (tmp_path / name / "artifacts" / "wamr-digits").as_uri()


def test_the_view_is_json_within_mlflows_limits(experiment):
    from mlflow.utils.validation import MAX_EXPERIMENT_TAG_VAL_LENGTH

    many = tuple(f"a_parameter_with_a_long_name_{number}" for number in range(30))
    ((key, value),) = mlflow_page.study_tags({f"search.{name}": "" for name in many}).items()
    assert key == mlflow_page.VIEW_TAG
    assert len(value) < MAX_EXPERIMENT_TAG_VAL_LENGTH
    cards = json.loads(json.loads(value)["state"])["compareRunCharts"]
    (parallel,) = [card for card in cards if card["type"] == "PARALLEL"]
    assert parallel["selectedParams"] == [*many]
    assert (
        experiment.tags[mlflow_page.VIEW_TAG]
        == mlflow_page.study_tags(PROBLEM)[mlflow_page.VIEW_TAG]
    )


def test_the_view_names_only_what_is_logged(client, experiment, view):
    logged = {"attributes.`Description`"}
    for trial in client.search_runs([experiment.experiment_id], view["searchFilter"]):
        for kind in ("metrics", "params", "tags"):
            logged |= {f"{kind}.`{name}`" for name in getattr(trial.data, kind)}
    assert set(view["selectedColumns"]) <= logged
    assert view["orderByKey"] in view["selectedColumns"]
    drawn = [card["metricKey"] for card in view["compareRunCharts"] if "metricKey" in card]
    assert {f"metrics.`{name}`" for name in drawn} <= logged
    assert sorted(drawn) == sorted((mlflow_page.OBJECTIVE, *mlflow_page.METRICS))
    sections = {section["uuid"] for section in view["compareRunSections"]}
    assert {card["metricSectionId"] for card in view["compareRunCharts"]} == sections


def test_only_complete_trials_are_ranked_and_the_others_say_why(client, experiment):
    shown = client.search_runs([experiment.experiment_id], "tags.trial != ''")
    for trial in shown:
        state, values = ENDS[int(trial.data.tags["trial"])]
        assert trial.data.tags["epochs"] == f"{len(values)}/3"
        assert (mlflow_page.OBJECTIVE in trial.data.metrics) == (state == "COMPLETE")
        if state == "COMPLETE":
            assert trial.data.metrics[mlflow_page.OBJECTIVE] == values[-1]
    notes = {t.data.tags["trial"]: t.data.tags.get(mlflow_page.NOTE_TAG, "") for t in shown}
    assert notes["1"] == "pruned: because of 1"
    assert notes["3"] == "failed: because of 3"


def test_the_experiment_says_where_to_look(client, experiment):
    note = experiment.tags[mlflow_page.NOTE_TAG]
    (summary,) = client.search_runs([experiment.experiment_id], "tags.summary = 'true'")
    board = mlflow_page.artifact(experiment.experiment_id, summary.info.run_id, "leaderboard.txt")
    assert note.splitlines()[0] == TOLD.headline
    assert f"[leaderboard]({board})" in note
    assert "[report]" not in note  # there is none
    assert mlflow_page.address(experiment.experiment_id) in note


def test_a_view_that_a_person_changed_stays(runs, client, experiment):
    number = experiment.experiment_id
    client.set_experiment_tag(number, mlflow_page.VIEW_TAG, "mine")
    tracker(runs).close("FINISHED", {}, {})
    assert client.get_experiment(number).tags[mlflow_page.VIEW_TAG] == "mine"
    client.set_experiment_tag(number, mlflow_page.VIEW_TAG, experiment.tags[mlflow_page.VIEW_TAG])


def test_the_description_follows_the_study_until_a_person_writes_there(tmp_path):
    client, writer = connect(f"sqlite:///{tmp_path / 'mlflow.db'}"), tracker(tmp_path)

    def note(headline):
        writer.tell(Told(headline))
        writer._flush()
        found = client.get_experiment_by_name("wamr-digits")
        return found.experiment_id, found.tags[mlflow_page.NOTE_TAG]

    _, first = note("running: 1 of 2 trials complete")
    number, second = note("done: 2 of 2 trials complete")
    assert first.startswith("running: 1 of 2") and second.startswith("done: 2 of 2")
    client.set_experiment_tag(number, mlflow_page.NOTE_TAG, "mine")
    assert note("done: 3 of 3 trials complete")[1] == "mine"
    client.set_experiment_tag(number, mlflow_page.NOTE_TAG, "")  # and is done with it
    assert note("done: 4 of 4 trials complete")[1].startswith("done: 4 of 4")


def test_a_run_shows_its_rank_its_interval_and_what_it_gains(client, experiment):
    found = client.search_runs([experiment.experiment_id], "tags.trial != ''")
    shown = {int(run.data.tags["trial"]): run.data for run in found}
    assert {n: run.tags.get("rank") for n, run in shown.items() if n in STANDINGS} == {
        0: "3",
        1: "",
        2: "1",
        5: "2",
    }
    assert "rank" not in shown[4].tags  # of which nothing was said
    best = shown[2].metrics
    assert best["final_robust_low"] < best["final_robust"] < best["final_robust_high"]
    assert [best[name] for name in DIFFERENCES] == [0.2, 0.1, 0.3]
    assert not set(DIFFERENCES) & shown[0].metrics.keys()
    said = shown[2].tags[mlflow_page.NOTE_TAG]
    assert said == "rank 1, +0.200 over the default (95 % +0.100 to +0.300)"


def test_what_is_searched_on_a_logarithmic_scale_is_shown_on_one():
    import optuna

    trial = optuna.create_study().ask()
    trial.suggest_float("alpha", 0.01, 100, log=True)
    trial.suggest_float("beta", 0, 1)
    record = TrialRecord(trial.study.trials[0])
    params = mlflow_page.trial_params(record)
    assert set(params) == {"alpha", "log10_alpha", "beta"}
    assert 10 ** float(params["log10_alpha"]) == pytest.approx(record.params["alpha"], rel=1e-3)
    problem = {"search.alpha": "Float(low=0.01, high=100.0, log=True)", "search.beta": "Float()"}
    assert mlflow_page._axes(problem) == ["log10_alpha", "beta"]


def test_more_epochs_than_mlflow_takes_at_once_are_all_logged(runs, client):
    writer = tracker(runs, "long")
    (trial,) = trials({0: ("RUNNING", [epoch / 300 for epoch in range(300)])}, epochs=300)
    writer.update(trial)
    writer.close("KILLED", {}, {})
    assert writer.error == ""
    experiment = client.get_experiment_by_name("long")
    (shown,) = client.search_runs([experiment.experiment_id], "tags.trial = '0'")
    for name in mlflow_page.METRICS:
        assert len(client.get_metric_history(shown.info.run_id, name)) == 300
