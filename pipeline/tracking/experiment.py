"""A study's experiment in MLflow: one run for each trial, and one for the study as a whole.

A run is found again by its tag `trial`, the summary by its tag `summary`. Nothing is shown twice
and nothing half: several drivers may show trials of one study, a kill may come between any two
calls, and a person may delete or edit any of it. Whatever the experiment holds, it is brought to
what the study says.
"""

import hashlib
import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pipeline.study.records import TrialRecord
from pipeline.tracking import artifacts as places
from pipeline.tracking import bulk, mlflow_page, run_view
from pipeline.tracking.run_view import NAME_TAG, SUMMARY_TAG, RunView, Shown
from pipeline.tracking.told import NOTHING, Told
from pipeline.tracking.uri import connect
from regmix import yaml_file

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment as Found
    from mlflow.entities import Run

STUDY_TAG = "regmix.study"  # the study's birth, by which its experiment is known under any name
_WRITTEN_TAG = "mlflow.regmix.written"
"""Digests of what a search wrote to experiment tags that a person may edit; the page hides tags
that begin with `mlflow.`."""
_BATCH = 900  # MLflow takes 1000 metrics at once
_MANY = 8  # new runs that are worth a transaction of their own
_CONFIG = "config.yaml"
_FIRST_TAGS = (run_view.TRIAL_TAG, NAME_TAG, "space", "recipe", "origin")


@dataclass
class Experiment:
    """What MLflow shows of a study.

    client: client of the tracking database or server.
    uri: its address.
    identity: MLflow's id of the experiment.
    problem: identity of the problem in flat names.
    shared: whether other drivers may show trials of the study now.
    thorough: whether the history of each metric is compared, not the latest values alone.
    told: what the study says of itself as a whole.
    """

    client: "MlflowClient"
    uri: str
    identity: str
    problem: Mapping[str, Any]
    shared: bool = False
    thorough: bool = False
    told: Told = NOTHING
    _runs: dict[int, Shown] = field(default_factory=dict)
    _summary: str = ""

    @classmethod
    def open(
        cls,
        uri: str,
        study: str,
        artifacts: Path | None,
        problem: Mapping[str, Any],
        *,
        birth: str = "",
        shared: bool = False,
        thorough: bool = False,
        told: Told = NOTHING,
    ) -> Self:
        """Find the study's experiment, or create it; one that was deleted comes back.

        Args:
            uri: tracking database or server.
            study: name of study and experiment.
            artifacts: folder for files; None lets a server decide.
            problem: identity of the problem in flat names.
            birth: what tells the study from others of its name; "" for nothing.
            shared, thorough, told: see the class.
        """
        client = connect(uri)
        place = (artifacts / study).as_uri() if artifacts else None
        found = _experiment_of(client, study, birth)
        if found is None:
            identity = str(client.create_experiment(study, artifact_location=place))
        else:
            identity = str(found.experiment_id)
            if place and (thorough or found.artifact_location != place):
                places.move(uri, identity, place)
        if birth and (found is None or STUDY_TAG not in found.tags):
            client.set_experiment_tag(identity, STUDY_TAG, birth)
        opened = cls(client, uri, identity, problem, shared, thorough, told)
        opened.find()
        opened.describe(told)
        return opened

    def describe(self, told: Told) -> None:
        """Let the page say what the study says now; what a person wrote there stays.

        Args:
            told: the study's words; without a headline those stay that are there.
        """
        self.told = told
        known = dict(self.client.get_experiment(self.identity).tags)
        due = mlflow_page.study_tags(self.problem)
        if told.headline or mlflow_page.NOTE_TAG not in known:
            due[mlflow_page.NOTE_TAG] = self.note
        written = json.loads(known.get(_WRITTEN_TAG, "{}"))
        for key, text in due.items():
            before = known.get(key, "")
            if text != before and (not before or _digest(before) in written.get(key, ())):
                # first, and beside the digest of what is there: a kill may come between the two
                written[key] = [_digest(before), _digest(text)]
                self.client.set_experiment_tag(self.identity, _WRITTEN_TAG, json.dumps(written))
                self.client.set_experiment_tag(self.identity, key, text)

    @property
    def note(self) -> str:
        """What the page says of the study."""
        return mlflow_page.study_note(self.told, self.identity, self._summary, self._files())

    def _files(self) -> set[str]:
        return {str(file.path) for file in self.client.list_artifacts(self._summary)}

    def find(self) -> None:
        """Learn what is shown; what is shown twice or belongs to no trial goes.

        The summary is begun where there is none.
        """
        self._runs, summaries = {}, []
        for run in sorted(self._search(""), key=_age):
            tags = run.data.tags
            number = run_view.number_of(tags)
            if number is not None and number not in self._runs:
                self._runs[number] = _shown(run)
            elif number is None and tags.get(SUMMARY_TAG) == "true":
                summaries.append(run)
            elif run_view.is_ours(tags):
                self.client.delete_run(run.info.run_id)
        self._begin_summary(summaries)

    def show(self, trial: TrialRecord) -> None:
        """Bring a trial's run up to date with this state of it."""
        if not trial.begun:
            return
        due, run = self._view(trial), self._run(trial)
        if run is not None and run.points is None:
            if not self.thorough and run.looks_like(due):
                run.points = dict(due.points)
            else:
                self._ask_history(run, due)
        if run is not None and run.contradicts(due, later=self.shared and not trial.ended):
            self.client.delete_run(run.run_id)
            run = None
        self._write(run or self._create(trial), due, trial)

    def _view(self, trial: TrialRecord) -> RunView:
        return run_view.trial_view(trial, self.problem, self.told.standings.get(trial.number))

    def show_all(self, trials: Sequence[TrialRecord]) -> None:
        """Bring the runs of several trials up to date, those that are new at once if possible."""
        new = [trial for trial in trials if trial.begun and trial.number not in self._runs]
        made = self._create_all(new) if len(new) >= _MANY and not self.shared else set()
        for trial in trials:
            if trial.number not in made:
                self.show(trial)

    def _create_all(self, trials: Sequence[TrialRecord]) -> set[int]:
        """Create the runs of trials that have none; return the numbers of those that have one."""
        database = bulk.database_of(self.uri)
        if database is None:
            return set()
        runs = {
            trial.number: bulk.NewRun(
                self._view(trial),
                {_CONFIG: yaml_file.dump(dict(trial.config))},
            )
            for trial in trials
        }
        location = self.client.get_experiment(self.identity).artifact_location
        if not bulk.create(database, self.identity, location, list(runs.values())):
            return set()
        for number, run in runs.items():
            self._runs[number] = _as_due(run.identity, run.due, run.due.points)
        return set(runs)

    def keep_only(self, numbers: Collection[int]) -> None:
        """Take away the runs of trials that the study does not have, or has not begun."""
        for number in [number for number in self._runs if number not in numbers]:
            self.client.delete_run(self._runs.pop(number).run_id)

    def end(self, status: str, summary: Mapping[str, Any], files: Mapping[str, str]) -> None:
        """End the summary run, see `pipeline.tracking.tracker.Tracker.close`."""
        due = {name: run_view.kept(float(value)) for name, value in summary.items()}
        if not self._count(due):  # somebody wrote to it what can't be taken back
            self.client.delete_run(self._summary)
            self._begin_summary([])
            self._count(due)
        for name, text in files.items():
            self.client.log_text(self._summary, text, name)
        self.describe(self.told)  # with links to these files
        self.client.set_terminated(self._summary, status)

    def _count(self, due: Mapping[str, float]) -> bool:
        """Log the metrics of the study as a whole; tell whether the summary shows them alone."""
        shown = self.client.get_run(self._summary).data.metrics
        for name, value in due.items():
            if name not in shown or run_view.kept(shown[name]) != value:
                self.client.log_metric(self._summary, name, run_view.written(value), step=0)
        return run_view.counts(self.client.get_run(self._summary).data.metrics) == due

    def _run(self, trial: TrialRecord) -> Shown | None:
        run = self._runs.get(trial.number)
        if run is None or run.tags.get("state") == "WAITING":  # another driver may have had it
            found = sorted(self._search(f"tags.trial = '{trial.number}'"), key=_age)
            run = _shown(found[0]) if found else None
            if run is not None:
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

    def _ask_history(self, run: Shown, due: RunView) -> None:
        """Learn every point that a run shows; one that is there twice is damage too."""
        run.points, doubled = {}, False
        for name in sorted(run.latest.keys() | {name for name, _ in due.points}):
            for metric in self.client.get_metric_history(run.run_id, name):
                doubled |= (name, metric.step) in run.points
                run.points[name, metric.step] = run_view.kept(metric.value)
        run.damaged = doubled or run.latest != run_view.latest(run.points)

    def _create(self, trial: TrialRecord) -> Shown:
        due = self._view(trial)
        tags = {key: text for key, text in due.tags.items() if key in _FIRST_TAGS}
        run = self.client.create_run(self.identity, start_time=due.times[0] or None, tags=tags)
        self._runs[trial.number] = _shown(run)
        self._runs[trial.number].points = {}
        return self._runs[trial.number]

    def _write(self, run: Shown, due: RunView, trial: TrialRecord) -> None:
        """Write what a run lacks; its state comes last, so that a kill before it is seen."""
        points = dict(run.points or {})
        if not run.described or (self.thorough and not self._has_config(run)):
            config = yaml_file.dump(dict(trial.config))
            self.client.log_text(run.run_id, config, _CONFIG)
        params = {name: text for name, text in due.params.items() if name not in run.params}
        missing = {point: value for point, value in due.points.items() if point not in points}
        tags = run.tags_to_write(due)
        if params or missing or tags:
            self._log(run.run_id, params, missing, due.times, tags)
        if SUMMARY_TAG in run.tags:
            self.client.delete_tag(run.run_id, SUMMARY_TAG)
        if run.name != due.tags[NAME_TAG]:
            self.client.update_run(run.run_id, name=due.tags[NAME_TAG])
        if not run.has_ended_as(due):
            if due.status == "RUNNING":
                self.client.update_run(run.run_id, status="RUNNING")
            else:
                self.client.set_terminated(run.run_id, due.status, due.ended)
        self._runs[trial.number] = _as_due(run.run_id, due, points | dict(due.points))

    def _has_config(self, run: Shown) -> bool:
        return any(file.path == _CONFIG for file in self.client.list_artifacts(run.run_id))

    def _begin_summary(self, found: "list[Run]") -> None:
        """Take the oldest of the summaries, or a new one, and let it say what it is."""
        params = {name: str(value) for name, value in self.problem.items()}
        right = [run for run in found if run.data.params.items() <= params.items()]
        mine, known = "", {run.info.run_id for run in found}
        if not right:
            tags = {SUMMARY_TAG: "true", NAME_TAG: "summary"}
            mine = self.client.create_run(self.identity, tags=tags).info.run_id
            now = self._search("tags.summary = 'true'")
            right = [run for run in now if run.info.run_id not in known]
        first = min(right, key=_age)
        self._summary = first.info.run_id
        for run in found:
            if run.info.run_id != self._summary:
                self.client.delete_run(run.info.run_id)
        if mine and mine != self._summary:  # another driver was quicker
            self.client.delete_run(mine)
        self._describe_summary(first, params)
        self.client.update_run(self._summary, status="RUNNING", name="summary")

    def _describe_summary(self, run: "Run", params: Mapping[str, str]) -> None:
        due = run_view.summary_tags(self.problem)
        tags = {key: text for key, text in due.items() if run.data.tags.get(key, "") != text}
        left = {name: text for name, text in params.items() if name not in run.data.params}
        if tags or left:
            self._log(self._summary, left, {}, {}, tags)
        if run_view.TRIAL_TAG in run.data.tags:
            self.client.delete_tag(self._summary, run_view.TRIAL_TAG)

    def _log(
        self,
        run_id: str,
        params: Mapping[str, str],
        points: Mapping[run_view.Point, float],
        times: Mapping[int, int],
        tags: Mapping[str, str],
    ) -> None:
        """Write one batch, or as many as MLflow's limit asks for."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        left = [
            Metric(name, run_view.written(value), times.get(step) or now, step)
            for (name, step), value in sorted(points.items(), key=lambda point: point[0][1])
        ]
        while len(left) > _BATCH:
            self.client.log_batch(run_id, metrics=left[:_BATCH])
            left = left[_BATCH:]
        self.client.log_batch(
            run_id,
            metrics=left,
            params=[Param(name, text) for name, text in params.items()],
            tags=[RunTag(key, text) for key, text in tags.items()],
        )


def _experiment_of(client: "MlflowClient", study: str, birth: str) -> "Found | None":
    """Return the study's experiment, active and under its name, None where there is none.

    One that a person renamed is known by the study's birth. Another study's of this name, such as
    one whose folder was removed, makes room under another name, and nothing of it is lost.
    """
    named, own = client.get_experiment_by_name(study), None
    if birth:
        own = born(client, birth)
    if own is None and named is not None and named.tags.get(STUDY_TAG, birth) in ("", birth):
        own = named
    if named is not None and (own is None or own.experiment_id != named.experiment_id):
        _make_room(client, named)
    if own is None:
        return None
    if own.lifecycle_stage == "deleted":
        client.restore_experiment(own.experiment_id)
    if own.name != study:
        client.rename_experiment(own.experiment_id, study)
    return client.get_experiment(own.experiment_id)


def born(client: "MlflowClient", birth: str) -> "Found | None":
    """Return the oldest experiment of a study, whatever its name is now."""
    from mlflow.entities import ViewType

    found = client.search_experiments(
        view_type=ViewType.ALL, filter_string=f"tags.`{STUDY_TAG}` = '{birth}'"
    )
    return min(found, key=lambda one: int(one.experiment_id), default=None)


def _make_room(client: "MlflowClient", other: "Found") -> None:
    """Give another study's experiment another name; a deleted one can't be renamed as it is."""
    deleted = other.lifecycle_stage == "deleted"
    if deleted:
        client.restore_experiment(other.experiment_id)
    client.rename_experiment(other.experiment_id, f"{other.name} (before, {other.experiment_id})")
    if deleted:
        client.delete_experiment(other.experiment_id)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _age(run: "Run") -> tuple[int, str]:
    return run.info.start_time or 0, run.info.run_id


def _as_due(run_id: str, due: RunView, points: Mapping[run_view.Point, float]) -> Shown:
    """Return what a run shows that was brought up to date."""
    name, params, tags = due.tags[NAME_TAG], dict(due.params), dict(due.tags)
    shown = Shown(run_id, due.status, due.ended, name, params, tags, due.latest)
    shown.points = dict(points)
    return shown


def _shown(run: "Run") -> Shown:
    info, data = run.info, run.data
    name = info.run_name or ""
    return Shown(
        info.run_id,
        info.status,
        info.end_time,
        name,
        dict(data.params),
        dict(data.tags),
        run_view.ours(data.metrics),
    )
