"""Searches of seconds, and what each of them left in study, view and table.

How a study stores what it knows is written here once, for all tests of whole commands.
"""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.study.records import StudyRecord
from pipeline.views import leaderboard
from pipeline.views.layout import page_width
from pipeline.views.summary import summarize

STATES = ("COMPLETE", "PRUNED", "FAIL", "WAITING", "RUNNING")
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED", "FAIL": "FAILED", "WAITING": "KILLED"}
SMALL = ("train_images=320", "valid_images=100", "width=8")  # an epoch in a tenth of a second


def search_arguments(runs, *more, epochs=4, trials=6, eval_every=1, confirm=False):
    settings = ("--set", f"epochs={epochs}", f"eval_every={eval_every}", *SMALL)
    race = () if confirm else ("--no-confirm",)
    return ("--recipe", "digits", "--runs", runs, "--trials", trials, *race, *more, *settings)


def states(runs, study="wamr-digits", storage=None):
    """Return number -> record of a trial, from the study's own storage."""
    return {trial.number: trial for trial in study_of(runs, study, storage).trials()}


def study_of(runs, study="wamr-digits", storage=None):
    """Return a study from its own storage."""
    import optuna

    from pipeline.study.storage import open_storage

    place = Path(runs) / "studies" / study
    loaded = optuna.load_study(study_name=study, storage=open_storage(storage, place, mend=False))
    return StudyRecord(loaded)


def measured(trial, epoch):
    """All that a trial measured of an epoch, in flat names as files have it."""
    return asdict(trial.metrics(epoch))


def shown(runs, study="wamr-digits", uri=None):
    """Return number -> MLflow run, and the summary runs, from MLflow's own database."""
    from pipeline.tracking.uri import connect

    client = connect(uri or f"sqlite:///{Path(runs) / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(study)
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    trials = [run for run in found if "trial" in run.data.tags]
    numbers = [int(run.data.tags["trial"]) for run in trials]
    assert len(set(numbers)) == len(numbers), "a trial has two runs"
    return dict(zip(numbers, trials, strict=True)), [r for r in found if r not in trials]


_ROW = re.compile(r" *(\d+) +([A-Z]+ +(\d+)/\d+ +)?([01]\.\d{3}|-) +(.*)")


def board(text):
    """Return number -> (final_robust, all other cells) from the table of the end of a search."""
    rows, inside = {}, False
    for line in text.splitlines():
        if line.startswith("trial ") and " final" in line and " clean" in line:
            rows, inside = {}, True  # of several, the last
        elif not line:
            inside = False
        elif inside and (row := _ROW.fullmatch(line)):
            rows[int(row[1])] = (row[4], row[5].split())
    return rows


def agree(runs, printed, storage=None):
    """Hold study, MLflow and what was printed against each other, trial by trial.

    What is printed has to be what the study says when it is read anew: every line of it. The rows
    of the table are read apart from that, so that it is not held against itself alone.
    """
    record = study_of(runs, storage=storage)
    trials, rows = {trial.number: trial for trial in record.trials()}, board(printed)
    assert "\n".join(leaderboard.page(summarize(record), page_width())) in printed
    views, summaries = shown(runs)
    begun = {number: trial for number, trial in trials.items() if trial.begun}
    assert set(begun) == set(views)
    complete = [trial.number for trial in begun.values() if trial.state == "COMPLETE"]
    assert not complete or (len(rows) == min(10, len(complete)) and set(rows) <= set(complete))
    for number, trial in begun.items():
        state, view = trial.state, views[number]
        assert state == view.data.tags["state"]
        assert view.info.status == STATUS[state]
        params = {k: v for k, v in view.data.params.items() if not k.startswith("log10_")}
        assert params == {k: str(v) for k, v in trial.params.items()}
        assert view.data.tags["reason"] == trial.reason
        found = [metrics for metrics in trial.epochs.values() if metrics.validated]
        assert ("valid_robust" in view.data.metrics) == bool(found)
        if found:
            assert view.data.metrics["valid_robust"] == found[-1].valid_robust
            assert trial.latest.co_detected or found[-1].valid_robust == trial.value
        if number in rows:
            final, others = rows[number]
            assert {f"{trial.value:.3f}", f"{trial.clean:.3f}"} <= set(others)
            assert final == (f"{trial.final_robust:.3f}" if state == "COMPLETE" else "-")
        if state == "COMPLETE":
            assert view.data.metrics["final_robust"] == trial.final_robust
            for name, sign in asdict(trial.final.masking).items():
                if sign is not None:
                    assert view.data.metrics[f"masking_{name}"] == sign
            assert view.data.metrics["co_detected"] == trial.latest.co_detected
        else:
            assert "final_robust" not in view.data.metrics
    assert len(summaries) == 1
    return trials


class Row(NamedTuple):
    """What must be the same of a trial whatever befell the search; of an epoch all but its time."""

    state: str
    params: dict[str, Any]
    values: dict[int, float]
    final_robust: float | None
    told: tuple[str, str]
    measured: dict[int, dict[str, Any]]


def outcome(place):
    """Return number -> row of what must be the same."""
    return {number: _row(trial) for number, trial in states(place).items()}


def _row(trial):
    values = dict(trial.values)
    epochs = {epoch: {**measured(trial, epoch), "seconds": None} for epoch in trial.known}
    told = (trial.reason, trial.would_prune)
    return Row(trial.state, trial.params, values, trial.final_robust, told, epochs)
