"""A study's experiment in MLflow: one run for each trial, and one for the study as a whole.

A run is found again by its tag `trial`, the summary by its tag `summary`. Nothing is shown twice
and nothing half: several drivers may show trials of one study, and a kill may come between any
two calls.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline.problem import yaml_file
from pipeline.study.records import TrialRecord
from pipeline.tracking import mlflow_page
from pipeline.tracking.uri import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_STATUS = {
    "RUNNING": "RUNNING",
    "WAITING": "KILLED",  # interrupted: the tag `state` says that it is to be continued
    "COMPLETE": "FINISHED",
    "PRUNED": "KILLED",
    "FAIL": "FAILED",
}
_BATCH = 900  # MLflow takes 1000 metrics at once


@dataclass
class _Shown:
    run_id: str
    status: str
    state: str  # "" for a run that was begun and not described
    epochs: int  # logged so far


@dataclass
class Experiment:
    """What MLflow shows of a study.

    client: client of the tracking database or server.
    identity: MLflow's id of the experiment.
    problem: identity of the problem in flat names.
    """

    client: "MlflowClient"
    identity: str
    problem: Mapping[str, Any]
    _runs: dict[int, _Shown] = field(default_factory=dict)
    _summary: str = ""

    @classmethod
    def open(
        cls,
        uri: str,
        study: str,
        artifacts: Path | None,
        problem: Mapping[str, Any],
    ) -> Self:
        """Find the study's experiment, or create it; one that was deleted comes back.

        Args:
            uri: tracking database or server.
            study: name of study and experiment.
            artifacts: folder for files, where the database is a local one; None lets a server
                decide.
            problem: identity of the problem in flat names.
        """
        client = connect(uri)
        found = client.get_experiment_by_name(study)
        if found is not None and found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        if found is not None:
            identity = str(found.experiment_id)
        else:
            place = (artifacts / study).as_uri() if artifacts else None
            identity = str(client.create_experiment(study, artifact_location=place))
        known = {} if found is None else found.tags
        for key, value in mlflow_page.study_tags(problem).items():
            if key not in known:  # a person may have changed it
                client.set_experiment_tag(identity, key, value)
        opened = cls(client, identity, problem)
        opened.find()
        return opened

    def find(self) -> None:
        """Learn what is shown already, and begin the summary where there is none."""
        for run in self._search("tags.trial != ''"):
            self._runs[int(run.data.tags["trial"])] = self._shown(run)
        mine, found = "", self._search("tags.summary = 'true'")
        if not found:
            tags = {"summary": "true", "mlflow.runName": "summary"}
            mine = self.client.create_run(self.identity, tags=tags).info.run_id
            found = self._search("tags.summary = 'true'")
        first = min(found, key=lambda run: (run.info.start_time, run.info.run_id))
        self._summary = first.info.run_id
        if mine and mine != self._summary:  # another driver was quicker
            self.client.delete_run(mine)
        if not first.data.params:
            self._describe_summary()
        self.client.update_run(self._summary, status="RUNNING")

    def show(self, trial: TrialRecord) -> None:
        """Bring a trial's run up to date with this state of it."""
        if not trial.begun:
            return
        state, run = trial.state, self._run(trial)
        if not run.state:
            self._log(run.run_id, params=trial.params)
            config = yaml_file.dump(dict(trial.config))
            self.client.log_text(run.run_id, config, "config.yaml")
        epochs = [e for e in trial.epochs if e > run.epochs]
        if epochs or state != run.state:
            metrics, tags = mlflow_page.trial_metrics(trial, epochs), mlflow_page.trial_tags(trial)
            self._log(run.run_id, metrics=metrics, tags=tags)
        if run.status != _STATUS[state]:
            if state == "RUNNING":
                self.client.update_run(run.run_id, status="RUNNING")
            else:
                ended = trial.frozen.datetime_complete
                when = int(ended.timestamp() * 1000) if ended else None
                self.client.set_terminated(run.run_id, _STATUS[state], when)
        run.status, run.state = _STATUS[state], state
        run.epochs = max([run.epochs, *epochs])

    def end(self, status: str, summary: Mapping[str, Any], board: str, figures: str) -> None:
        """End the summary run, see `pipeline.tracking.tracker.Tracker.close`."""
        for name, value in summary.items():
            self.client.log_metric(self._summary, name, float(value))
        self.client.log_text(self._summary, board, "leaderboard.txt")
        if figures:
            self.client.log_text(self._summary, figures, "figures.html")
        self.client.set_terminated(self._summary, status)

    def _run(self, trial: TrialRecord) -> _Shown:
        run = self._runs.get(trial.number)
        if run is None or run.state == "WAITING":  # another driver may have had it meanwhile
            found = self._search(f"tags.trial = '{trial.number}'")
            run = self._shown(found[0]) if found else self._create(trial)
            self._runs[trial.number] = run
        return run

    def _search(self, condition: str) -> "list[Run]":
        found, token = list[Any](), None
        while True:
            page = self.client.search_runs(
                [self.identity], condition, max_results=500, page_token=token
            )
            found += page
            token = page.token
            if not token:
                return found

    def _shown(self, run: "Run") -> _Shown:
        epochs, state = 0, run.data.tags.get("state", "")
        if "valid_robust" in run.data.metrics:
            history = self.client.get_metric_history(run.info.run_id, "valid_robust")
            epochs = max(metric.step for metric in history)
        return _Shown(run.info.run_id, run.info.status, state, epochs)

    def _create(self, trial: TrialRecord) -> _Shown:
        begun = trial.frozen.datetime_start
        tags = {
            "trial": str(trial.number),
            "mlflow.runName": f"trial {trial.number:03d}",
            "space": str(self.problem["space"]),
            "recipe": str(self.problem["recipe"]),
            "origin": trial.origin,
        }
        when = int(begun.timestamp() * 1000) if begun else None
        run = self.client.create_run(self.identity, start_time=when, tags=tags)
        return _Shown(run.info.run_id, "RUNNING", "", 0)

    def _describe_summary(self) -> None:
        space, recipe = str(self.problem["space"]), str(self.problem["recipe"])
        note = mlflow_page.study_note(space, recipe, self.identity, self._summary)
        self.client.set_experiment_tag(self.identity, mlflow_page.NOTE_TAG, note)
        self._log(self._summary, params=self.problem, tags={mlflow_page.NOTE_TAG: note})

    def _log(
        self,
        run_id: str,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Sequence[tuple[str, float, int]] = (),
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Write one batch, or as many as MLflow's limit asks for."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        points = [Metric(key, value, now, step) for key, value, step in metrics]
        while len(points) > _BATCH:
            self.client.log_batch(run_id, metrics=points[:_BATCH])
            points = points[_BATCH:]
        self.client.log_batch(
            run_id,
            metrics=points,
            params=[Param(key, str(value)) for key, value in (params or {}).items()],
            tags=[RunTag(key, value[:1000]) for key, value in (tags or {}).items()],
        )
