"""MLflow brought up to date with a study: at the end of a search, and by `--sync`."""

import copy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.report import leaderboard
from pipeline.report.live import console
from pipeline.study.storage import exclusive, find_study
from pipeline.tracking.tracker import Tracker
from pipeline.tracking.uri import check_uri
from regmix.errors import InputError

if TYPE_CHECKING:
    from optuna.study import Study


def sync(name: str | None, storage: str | None, runs: Path, uri: str | None) -> int:
    """Show in MLflow what the study knows, without training anything.

    Args:
        name, storage: of the study.
        runs: folder of studies.
        uri: of MLflow's database or server; None for the file in `runs`.

    Returns:
        0 when MLflow shows all, 1 when it can't be reached.

    Raises:
        InputError: where there is no such study, or a search runs on it.
    """
    if name is None:
        raise InputError("command line: --sync needs --study NAME")
    runs = runs.resolve()
    uri = uri or f"sqlite:///{runs / 'mlflow.db'}"
    check_uri(uri)
    place = runs / "studies" / name
    find_study(name, storage, place)  # before a lock is made in a folder that isn't there
    with exclusive(place, storage):
        study = find_study(name, storage, place)
        view = tracker(uri, runs, study.study_name, study.user_attrs["question"])
        close(view, study, _status(study))
        if view.error:
            return 1
    print(f"{uri} shows all {len(study.get_trials(deepcopy=False))} trials of {name}")
    return 0


def _status(study: "Study") -> str:
    counts = leaderboard.counts(study)
    if counts.keys() & {"RUNNING", "WAITING"}:
        return "KILLED"
    return "FINISHED" if counts.keys() - {"FAIL"} else "FAILED"


def searched(facts: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the searched parameters from a question's facts."""
    return tuple(k.removeprefix("search.") for k in facts if k.startswith("search."))


def tracker(uri: str, runs: Path, study: str, facts: dict[str, Any]) -> Tracker:
    """Return a view of the study at `uri`; artifacts of a local database lie in `runs`."""
    artifacts = runs / "artifacts" if uri.startswith("sqlite") else None
    return Tracker(uri, study, artifacts, facts, searched(facts))


def close(view: Tracker, study: "Study", status: str, *, shared: bool = False) -> None:
    """Show every trial and end the summary run; say so where that can't be done.

    Call it while nothing runs: a trial that a kill left RUNNING is shown as waiting.

    Args:
        view: of the study.
        study: the truth.
        status: FINISHED, KILLED or FAILED.
        shared: whether other drivers may run trials of the study now.
    """
    from pipeline.report.figures import page

    names, screen = view.searched, console()
    with screen.capture() as board:
        screen.print(leaderboard.table(study, names))
        screen.print(leaderboard.best_in_words(study, names))
    summary: dict[str, Any] = {f"trials_{s}": n for s, n in leaderboard.tally(study).items()}
    values = [t.value or 0.0 for t in leaderboard.candidates(study)]
    if values:
        summary["best_final_robust"] = max(values)
    for trial in study.get_trials(deepcopy=False):
        shown = copy.copy(trial)
        if trial.state.name == "RUNNING":
            if shared:  # its own driver shows it
                continue
            shown.state = type(trial.state).WAITING
        view.update(shown)
    view.close(status, summary, board.get(), page(study, names))
    if view.error:
        print(
            f"search: MLflow lags behind ({view.error}); the study itself is whole, and the same "
            f"command, or --study {study.study_name} --sync, brings MLflow up to date",
            file=sys.stderr,
        )
