"""MLflow brought up to date with a study: at the end of a search, and by `--sync`."""

import contextlib
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from pipeline.base import paths
from pipeline.base.address import same_database
from pipeline.base.commands import command, given
from pipeline.base.narration import Waiting
from pipeline.problem.plugin_folder import stored_plugin_words
from pipeline.study.ranking import candidates, count_states
from pipeline.study.records import StudyRecord, TrialRecord
from pipeline.study.storage import (
    check_storage,
    exclusive,
    find_study,
    is_database,
    study_folder,
)
from pipeline.study.studies import RACE, Studies
from pipeline.tracking import artifacts, mlflow_page
from pipeline.tracking.run_view import BEST
from pipeline.tracking.told import Standing, Told
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.uri import check_uri, default_uri, is_server
from pipeline.views import leaderboard
from pipeline.views.summary import Summary, summarize
from regmix.errors import InputError, masked
from regmix.user_files import absolute

_SPARING = 100


@dataclass(frozen=True)
class View:
    """Where MLflow shows a study, and where the study is.

    uri: MLflow's database or server.
    runs: folder of studies; the view's files lie in it, but for those of a server.
    storage: database URL or journal file of the study; None for the journal in its folder.
    """

    uri: str
    runs: Path
    storage: str | None

    @classmethod
    def checked(cls, runs: str, storage: str | None, uri: str | None, *, new: bool = True) -> Self:
        """Prove that each place can be written to; nothing is made before the last is proved.

        Args:
            runs: folder of studies, as it was typed.
            storage: database URL or journal file of the study, if one was typed.
            uri: MLflow's database or server, if one was typed.
            new: whether the storage may be new.

        Raises:
            InputError: for the first that is wrong.
        """
        folder, storage = absolute(runs, "--runs"), check_storage(storage, create=new)
        if uri is not None:
            uri = check_uri(uri)
            if is_database(storage) and same_database(str(storage), uri):
                raise InputError(
                    "--storage and --tracking-uri: name one database, in which Optuna and MLflow "
                    "would take each other's tables for their own; give each its own"
                )
        paths.writable_folder(folder, "--runs")
        return cls(uri or check_uri(default_uri(folder)), folder, storage)

    @property
    def runs_option(self) -> Path | None:
        """The folder of studies, None where it is the usual one."""
        return None if self.runs == paths.RUNS else self.runs

    @property
    def uri_words(self) -> list[str]:
        """The words of a printed command that name MLflow's database, if it is not the usual."""
        return given({"--tracking-uri": None if self.uri == default_uri(self.runs) else self.uri})

    def study_words(self, study: str) -> list[str]:
        """Return the words of a printed command that find a study."""
        options = {"--study": study, "--runs": self.runs_option, "--storage": self.storage}
        return given(options)

    def beside(self, name: str) -> StudyRecord | None:
        """Return another study of this place; None where there is none that can be read."""
        with contextlib.suppress(InputError):
            return find_study(name, self.storage, study_folder(self.runs, name))
        return None

    def tracker(self, study: StudyRecord, *, shared: bool, thorough: bool = False) -> Tracker:
        """Return a view of a study.

        Args:
            study: the study.
            shared: whether other drivers may run trials of it.
            thorough: whether all that is shown is compared, not the latest values alone.
        """
        files = None if is_server(self.uri) else artifacts.folder(self.runs)
        tracker = Tracker(self.uri, study.name, files, study.problem, study.birth)
        tracker.shared, tracker.thorough = shared, thorough
        return tracker


def sync(name: str | None, runs: str, storage: str | None, uri: str | None) -> int:
    """Show in MLflow what the study knows, without training anything.

    Args:
        name: name of the study.
        runs: folder of studies, as it was typed.
        storage: database URL or journal file of the study; None for the journal in its folder.
        uri: MLflow's database or server; None for the file in `runs`.

    Returns:
        0 when MLflow shows all, 1 when it can't be reached.

    Raises:
        InputError: where there is no such study, or a search runs on it.
    """
    if name is None:
        raise InputError("command line: --sync needs --study NAME")
    place = absolute(runs, "--runs") / "studies" / name
    find_study(name, storage, place)  # before a lock is made in a folder that isn't there
    view = View.checked(runs, storage, uri, new=False)
    with exclusive(place, view.storage):
        study = find_study(name, view.storage, place)
        tracker = view.tracker(study, shared=_is_shared(study, view), thorough=True)
        publish(tracker, study, _status(study), view)
        if tracker.error:
            return 1
    print(f"{masked(view.uri)} shows all {len(study.trials())} trials of {name}")
    return 0


def publish_again(search: StudyRecord, view: View) -> None:
    """Let MLflow's page of a search say what its race has found, which ran since."""
    tracker = view.tracker(search, shared=_is_shared(search, view))
    publish(tracker, search, _status(search), view)


def _is_shared(study: StudyRecord, view: View) -> bool:
    """Tell whether other drivers may run trials of a study that this one doesn't."""
    return is_database(view.storage) and count_states(study)["RUNNING"] > 0


def _status(study: StudyRecord) -> str:
    counts = count_states(study)
    if counts["RUNNING"] or counts["WAITING"]:
        return "KILLED"
    return "FINISHED" if counts["COMPLETE"] or counts["PRUNED"] else "FAILED"


def publish(tracker: Tracker, study: StudyRecord, status: str, view: View) -> None:
    """Show every trial and end the summary run; say so where that can't be done.

    Call it while nothing runs: a trial that a kill left RUNNING is shown as waiting.

    Args:
        tracker: MLflow's view of the study.
        study: the study, which is the truth.
        status: FINISHED, KILLED or FAILED.
        view: where the view and the study are, for the message.
    """
    with Waiting("MLflow and the report are brought up to date"):
        _publish(tracker, study, status, view)
    if tracker.error:
        again = command("search.py", "--sync", *view.study_words(study.name), *view.uri_words)
        print(
            f"MLflow lags behind ({tracker.error}); the study itself is whole, and the next "
            f"session, or --study {study.name} --sync, brings MLflow up to date: {again}",
            file=sys.stderr,
        )


def _publish(tracker: Tracker, study: StudyRecord, status: str, view: View) -> None:
    from pipeline.driver.report import written  # of what draws, nothing is loaded before the end

    report = written(Studies(view.runs, view.storage), study, running=tracker.shared)
    tracker.tell(_told(study, view, report.matters))
    files = {
        mlflow_page.BOARD: leaderboard.everything(summarize(study)),
        mlflow_page.REPORT: report.page,
    }
    summary: dict[str, Any] = {f"trials_{s}": n for s, n in count_states(study).items()}
    best = candidates(study)
    if best:
        summary[BEST] = best[0].final_robust
    trials = study.trials()
    for trial in trials:
        if trial.state != "RUNNING":
            tracker.update(trial)
        elif not tracker.shared:  # else its own driver shows it
            tracker.update(trial.as_waiting())
    begun = None if tracker.shared else {trial.number for trial in trials if trial.begun}
    tracker.close(status, summary, {name: text for name, text in files.items() if text}, begun)


@dataclass
class Headlines:
    """Keeps the first line of MLflow's description current while trials run.

    It is written anew when a trial has ended. At a thousand trials that takes a tenth of a second,
    so it waits a hundred times as long as it took: the driver never works for it noticeably.

    tracker: MLflow's view of the study.
    study: the study that runs.
    view: where MLflow and the study are.
    """

    tracker: Tracker
    study: StudyRecord
    view: View
    _due: float = 0.0
    _search: StudyRecord | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._search = _search_of(self.study, self.view)

    def trial_changed(self, trial: TrialRecord) -> None:
        """Tell how the study stands, if that is due."""
        begun = time.monotonic()
        if begun < self._due or (self._due and not trial.ended):
            return
        if self._search is None:
            found = summarize(self.study, running=True)
        else:
            found = summarize(self._search, self.study, running=True)
        self.tracker.tell(Told(found.headline, _details(found, self.view, self.study.plugins)))
        now = time.monotonic()
        self._due = now + _SPARING * (now - begun)


def _search_of(study: StudyRecord, view: View) -> StudyRecord | None:
    """Return the search that a study is the race of; None for one that is no race."""
    if "finalist" not in study.searched:
        return None
    return _paired(view.beside(study.name.removesuffix(RACE)), study)


def _paired(search: StudyRecord | None, race: StudyRecord) -> StudyRecord | None:
    """Return the search if the race is its own."""
    with contextlib.suppress(InputError):
        if search is not None:
            race.compare("source", {"birth": search.birth})
            return search
    return None


def _told(study: StudyRecord, view: View, matters: str) -> Told:
    """Return what MLflow's page says of a study that nobody runs now.

    Args:
        study: the study.
        view: where MLflow and the study are.
        matters: which parameters matter, in words.
    """
    search = _search_of(study, view)
    if search is not None:
        found = summarize(search, study)
        details = _details(found, view, search.plugins, matters)
        return Told(found.headline, details, _places(found, study))
    race = view.beside(f"{study.name}{RACE}")
    if race is not None and ("finalist" not in race.searched or _paired(study, race) is None):
        race = None
    found = summarize(study, race)
    details = _details(found, view, study.plugins, matters)
    return Told(found.headline, details, _standings(found))


def _standings(found: Summary) -> dict[int, Standing]:
    """Return how the trials of a search stand."""
    return {
        one.trial: Standing(
            one.rank,
            (gain.value, round(gain.low, 4), round(gain.high, 4))
            if (gain := one.over_default)
            else None,
        )
        for one in found.trials
    }


def _places(found: Summary, race: StudyRecord) -> dict[int, Standing]:
    """Return the trainings of a race with the places of their finalists."""
    finalists = found.race.finalists if found.race else ()
    ranks = {one.trial: rank for rank, one in enumerate(finalists, start=1)}
    return {
        trial.number: Standing(ranks.get(trial.params.get("finalist", -1)))
        for trial in race.trials()
        if trial.begun
    }


def _details(found: Summary, view: View, plugins: Mapping[str, str], matters: str = "") -> str:
    """Return what follows the headline, as Markdown.

    Args:
        found: what the study says.
        view: where MLflow and the study are.
        plugins: digest of each plug-in that the study needs.
        matters: which parameters matter, in words.
    """
    lines = [found.question, _cost(found), matters, _stops(found)]
    if found.best is None:
        return "\n\n".join(filter(None, lines))
    if found.race is not None:
        one = found.race.winner.trial
        lines += [f"The race's answer, trial {one}, is the file {found.study}-confirmed.yaml."]
    where = [*view.study_words(found.study), *stored_plugin_words(plugins)]
    commands = (
        command("export.py", *where, "--top", 3),
        command("confirm.py", *where, *view.uri_words),
    )
    lines += ["To get the best of the search as files, and to prove them with more seeds:"]
    return "\n\n".join(filter(None, (*lines, "\n".join(f"    {line}" for line in commands))))


def _cost(found: Summary) -> str:
    """Say what the best costs in clean accuracy."""
    best, default = found.best, found.default
    if best is None or best.clean is None:
        return ""
    said = f"Clean accuracy of trial {best.trial}: {best.clean:.3f}"
    if default is None or default.clean is None or default.trial == best.trial:
        return f"{said}."
    return f"{said}, of the start {default.clean:.3f}."


def _stops(found: Summary) -> str:
    """Say how many trials were stopped or failed; each one's reason is in the table."""
    stopped, failed = found.counts["PRUNED"], found.counts["FAIL"]
    left, full = found.pruned
    said = []
    if stopped:
        said.append(f"{stopped} trials were stopped, which left out {left} of {full} epochs")
    if failed:
        said.append(f"{failed} failed")
    return f"{' and '.join(said)}: the table says why." if said else ""
