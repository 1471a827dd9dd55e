"""MLflow brought up to date with a study: at the end of a search, and by `--sync`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pipeline.base import paths
from pipeline.base.address import same_database
from pipeline.base.commands import command, given
from pipeline.report import leaderboard
from pipeline.report.figures import page
from pipeline.report.summary import summarize
from pipeline.study.ranking import candidates, count_states
from pipeline.study.records import StudyRecord
from pipeline.study.storage import check_storage, exclusive, find_study, is_database
from pipeline.tracking import artifacts
from pipeline.tracking.run_view import BEST
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.uri import check_uri, default_uri, is_server
from regmix.errors import InputError, masked
from regmix.user_files import absolute


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
        shared = is_database(view.storage) and count_states(study)["RUNNING"] > 0
        tracker = view.tracker(study, shared=shared, thorough=True)
        publish(tracker, study, _status(study), view)
        if tracker.error:
            return 1
    print(f"{masked(view.uri)} shows all {len(study.trials())} trials of {name}")
    return 0


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
    board = leaderboard.everything(summarize(study))
    summary: dict[str, Any] = {f"trials_{s}": n for s, n in count_states(study).items()}
    found = candidates(study)
    if found:
        summary[BEST] = found[0].final_robust
    trials = study.trials()
    for trial in trials:
        if trial.state != "RUNNING":
            tracker.update(trial)
        elif not tracker.shared:  # else its own driver shows it
            tracker.update(trial.as_waiting())
    begun = None if tracker.shared else {trial.number for trial in trials if trial.begun}
    tracker.close(status, summary, board, page(study), begun)
    if tracker.error:
        again = command("search.py", "--sync", *view.study_words(study.name), *view.uri_words)
        print(
            f"MLflow lags behind ({tracker.error}); the study itself is whole, and the next "
            f"session, or --study {study.name} --sync, brings MLflow up to date: {again}",
            file=sys.stderr,
        )
