"""MLflow as a view of the study: one writer, in the driver, in its own thread.

The view is derived from the study's trials alone, and a run is found again by its tag `trial`: so
a view that lags behind after a kill, or a database that was thrown away, is made right by the
next search on the study. Training never waits for it.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import views, yaml_file
from pipeline.tracking_uri import connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from optuna.trial import FrozenTrial

_FLUSH_SECONDS = 2.0
_STATUS = {
    "RUNNING": "RUNNING",
    "WAITING": "KILLED",  # interrupted: the tag `state` says that it is to be continued
    "COMPLETE": "FINISHED",
    "PRUNED": "KILLED",
    "FAIL": "FAILED",
}
_BATCH = 900  # MLflow takes 1000 metrics at once


@dataclass
class _Run:
    run_id: str
    status: str
    state: str
    epochs: int  # logged so far


@dataclass
class Tracker:
    """Shows trials in the experiment of their study.

    uri: of the tracking database or server.
    study: name of study and experiment.
    artifacts: folder for files, where the database is a local one; None lets a server decide.
    facts: the question in flat names, for the summary run.
    """

    uri: str
    study: str
    artifacts: Path | None
    facts: Mapping[str, Any]
    searched: tuple[str, ...]
    error: str = ""
    _pending: dict[int, "FrozenTrial"] = field(default_factory=dict)
    _runs: dict[int, _Run] = field(default_factory=dict)
    _wake: threading.Condition = field(default_factory=threading.Condition)
    _closing: bool = False
    _thread: threading.Thread | None = None
    _client: "MlflowClient | None" = None
    experiment: str = ""
    _summary: str = ""

    def start(self) -> None:
        """Begin to write in the background, once; MLflow is imported there too."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def update(self, trial: "FrozenTrial") -> None:
        """Show this state of a trial soon; a later state replaces it."""
        with self._wake:
            self._pending[trial.number] = trial

    def close(self, status: str, summary: Mapping[str, Any], board: str, figures: str) -> None:
        """Write what is left, end the summary run with `status`, and say in `error` what failed.

        Args:
            status: FINISHED, KILLED or FAILED.
            summary: metrics of the study as a whole.
            board: the leaderboard as text.
            figures: a page with the study's plots.
        """
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        try:
            client = self._opened()
            self._find_runs(client)  # another driver may have shown its trials meanwhile
            self._flush()
            run = self._summary
            for name, value in summary.items():
                client.log_metric(run, name, float(value))
            client.log_text(run, board, "leaderboard.txt")
            if figures:
                client.log_text(run, figures, "figures.html")
            client.set_terminated(run, status)
        except Exception as error:  # the view is not worth a search; it is made right next time
            self.error = _first_line(error)

    def _work(self) -> None:
        while True:
            try:
                self._flush()
                self.error = ""
            except Exception as error:  # locked or away: try again
                self.error = _first_line(error)
            with self._wake:
                if self._closing or self._wake.wait(_FLUSH_SECONDS) or self._closing:
                    return

    def _flush(self) -> None:
        client = self._opened()
        with self._wake:
            pending, self._pending = self._pending, {}
        try:
            for number in sorted(pending):
                self._show(client, pending[number])
                del pending[number]
        finally:
            with self._wake:
                self._pending = {**pending, **self._pending}

    def _opened(self) -> "MlflowClient":
        if self._client is None:
            client = connect(self.uri)
            self.experiment = self._open_experiment(client)
            self._find_runs(client)
            self._client = client
        return self._client

    def _open_experiment(self, client: "MlflowClient") -> str:
        found = client.get_experiment_by_name(self.study)
        if found is not None and found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
        if found is not None:
            experiment = str(found.experiment_id)
        else:
            place = (self.artifacts / self.study).as_uri() if self.artifacts else None
            experiment = str(client.create_experiment(self.study, artifact_location=place))
        known = {} if found is None else found.tags
        for key, value in views.study_tags(self.searched).items():
            if key not in known:  # a person may have changed it
                client.set_experiment_tag(experiment, key, value)
        return experiment

    def _find_runs(self, client: "MlflowClient") -> None:
        """Learn what the experiment shows already, so that nothing is shown twice."""
        token = None
        while True:
            page = client.search_runs([self.experiment], max_results=500, page_token=token)
            for run in page:
                tags = run.data.tags
                if "trial" in tags:
                    self._runs[int(tags["trial"])] = _Run(
                        run.info.run_id,
                        run.info.status,
                        tags.get("state", ""),
                        self._logged(client, run),
                    )
                elif tags.get("summary") == "true":
                    self._summary = run.info.run_id
            token = page.token
            if not token:
                break
        if self._summary:
            client.update_run(self._summary, status="RUNNING")
            return
        tags = {"summary": "true", "mlflow.runName": "summary"}
        self._summary = client.create_run(self.experiment, tags=tags).info.run_id
        space, recipe = str(self.facts["space"]), str(self.facts["recipe"])
        note = views.study_note(space, recipe, self.experiment, self._summary)
        client.set_experiment_tag(self.experiment, views.NOTE_TAG, note)
        self._log(client, self._summary, params=self.facts, tags={views.NOTE_TAG: note})

    def _logged(self, client: "MlflowClient", run: Any) -> int:  # noqa: ANN401
        if "valid_robust" not in run.data.metrics:
            return 0
        history = client.get_metric_history(run.info.run_id, "valid_robust")
        return max(metric.step for metric in history)

    def _show(self, client: "MlflowClient", trial: "FrozenTrial") -> None:
        if "config" not in trial.user_attrs:
            return  # waiting, and never begun
        state = trial.state.name
        run = self._runs.get(trial.number) or self._create(client, trial)
        epochs = [e for e in sorted(trial.intermediate_values) if e > run.epochs]
        if epochs or state != run.state:
            metrics, tags = views.trial_metrics(trial, epochs), views.trial_tags(trial)
            self._log(client, run.run_id, metrics=metrics, tags=tags)
        if run.status != _STATUS[state]:
            if state == "RUNNING":
                client.update_run(run.run_id, status="RUNNING")
            else:
                ended = trial.datetime_complete
                when = int(ended.timestamp() * 1000) if ended else None
                client.set_terminated(run.run_id, _STATUS[state], when)
        run.status, run.state = _STATUS[state], state
        run.epochs = max([run.epochs, *epochs])

    def _create(self, client: "MlflowClient", trial: "FrozenTrial") -> _Run:
        begun = trial.datetime_start
        tags = {
            "trial": str(trial.number),
            "mlflow.runName": f"trial {trial.number:03d}",
            "space": str(self.facts["space"]),
            "recipe": str(self.facts["recipe"]),
            "origin": trial.user_attrs.get("origin", "sampled"),
        }
        when = int(begun.timestamp() * 1000) if begun else None
        run = client.create_run(self.experiment, start_time=when, tags=tags)
        self._runs[trial.number] = _Run(run.info.run_id, "RUNNING", "", 0)
        self._log(client, run.info.run_id, params=trial.params)
        config = yaml_file.dump(trial.user_attrs["config"])
        client.log_text(run.info.run_id, config, "config.yaml")
        return self._runs[trial.number]

    def _log(
        self,
        client: "MlflowClient",
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
            client.log_batch(run_id, metrics=points[:_BATCH])
            points = points[_BATCH:]
        client.log_batch(
            run_id,
            metrics=points,
            params=[Param(key, str(value)) for key, value in (params or {}).items()],
            tags=[RunTag(key, value[:1000]) for key, value in (tags or {}).items()],
        )


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:200]}"
