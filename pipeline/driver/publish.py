"""MLflow brought up to date with a study: at the end of a search, and by `--sync`."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.report import leaderboard
from pipeline.report.figures import page
from pipeline.report.formatting import console
from pipeline.study.ranking import candidates, count_states
from pipeline.study.records import StudyRecord
from pipeline.study.storage import exclusive, find_study
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.uri import check_uri, default_uri
from regmix.errors import InputError


def sync(name: str | None, storage: str | None, runs: Path, uri: str | None) -> int:
    """Show in MLflow what the study knows, without training anything.

    Args:
        name: name of the study.
        storage: database URL or journal file of the study; None for the journal in its folder.
        runs: folder of studies.
        uri: MLflow's database or server; None for the file in `runs`.

    Returns:
        0 when MLflow shows all, 1 when it can't be reached.

    Raises:
        InputError: where there is no such study, or a search runs on it.
    """
    if name is None:
        raise InputError("command line: --sync needs --study NAME")
    runs = runs.resolve()
    uri = uri or default_uri(runs)
    check_uri(uri)
    place = runs / "studies" / name
    find_study(name, storage, place)  # before a lock is made in a folder that isn't there
    with exclusive(place, storage):
        study = find_study(name, storage, place)
        tracker = make_tracker(uri, runs, study.name, study.problem)
        publish(tracker, study, _status(study))
        if tracker.error:
            return 1
    print(f"{uri} shows all {len(study.trials())} trials of {name}")
    return 0


def _status(study: StudyRecord) -> str:
    counts = count_states(study)
    if counts["RUNNING"] or counts["WAITING"]:
        return "KILLED"
    return "FINISHED" if counts["COMPLETE"] or counts["PRUNED"] else "FAILED"


def make_tracker(uri: str, runs: Path, study: str, problem: Mapping[str, Any]) -> Tracker:
    """Return a view of the study at `uri`; artifacts of a local database lie in `runs`."""
    artifacts = runs / "artifacts" if uri.startswith("sqlite") else None
    return Tracker(uri, study, artifacts, problem)


def publish(tracker: Tracker, study: StudyRecord, status: str, *, shared: bool = False) -> None:
    """Show every trial and end the summary run; say so where that can't be done.

    Call it while nothing runs: a trial that a kill left RUNNING is shown as waiting.

    Args:
        tracker: MLflow's view of the study.
        study: the study, which is the truth.
        status: FINISHED, KILLED or FAILED.
        shared: whether other drivers may run trials of the study now.
    """
    screen = console()
    with screen.capture() as board:
        screen.print(leaderboard.table(study))
        screen.print(leaderboard.best_in_words(study))
    summary: dict[str, Any] = {f"trials_{s}": n for s, n in count_states(study).items()}
    found = candidates(study)
    if found:
        summary["best_final_robust"] = found[0].final_robust
    for trial in study.trials():
        if trial.state != "RUNNING":
            tracker.update(trial)
        elif not shared:  # else its own driver shows it
            tracker.update(trial.as_waiting())
    tracker.close(status, summary, board.get(), page(study))
    if tracker.error:
        print(
            f"MLflow lags behind ({tracker.error}); the study itself is whole, and the "
            f"same command, or --study {study.name} --sync, brings MLflow up to date",
            file=sys.stderr,
        )
