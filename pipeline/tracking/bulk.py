"""Many new runs at once, as rows of a SQLite database of MLflow's.

MLflow's client writes a run of twelve epochs by seven calls and forty statements, which take 30 ms
of CPU; a study of a thousand trials would take half a minute. These are the same rows in one
transaction: held by `tests/pipeline/test_bulk.py`, which compares all tables.

What is private here are MLflow's tables. They are known by the revision that MLflow keeps in its
database. With another one, as after an update of MLflow, its client writes run after run as on a
server: slower, and nothing else breaks.
"""

import contextlib
import math
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.base.address import sqlite_file
from pipeline.tracking.run_view import NAME_TAG, RunView, written

REVISIONS = frozenset({"dc11669786a5"})  # of MLflow 3.17
_WAIT = 30  # seconds for another writer
_RUN = "INSERT INTO runs VALUES (?,?,'UNKNOWN','','','unknown',?,?,?,'','active',?,?,NULL)"
_TAG = "INSERT INTO tags VALUES (?,?,?)"
_PARAM = "INSERT INTO params VALUES (?,?,?)"
_METRIC = "INSERT INTO metrics VALUES (?,?,?,?,?,?)"
_LATEST = "INSERT INTO latest_metrics VALUES (?,?,?,?,?,?)"
_LAST_TAG = "state"  # what tells that all of a run was written


@dataclass(frozen=True)
class NewRun:
    """A run that is not there yet.

    due: what it must show.
    files: name and text of each of its files.
    identity: MLflow's id of it.
    """

    due: RunView
    files: Mapping[str, str]
    identity: str = field(default_factory=lambda: uuid.uuid4().hex)


def database_of(uri: str) -> Path | None:
    """Return the database that can be written to here, None where MLflow's client must do it."""
    path = sqlite_file(uri)
    if path is None:
        return None
    with contextlib.closing(sqlite3.connect(path, timeout=_WAIT)) as base:
        found = {revision for (revision,) in base.execute("SELECT * FROM alembic_version")}
    return path if found and found <= REVISIONS else None


def folder_of(location: str) -> Path | None:
    """Return the folder that an experiment's files lie in, None where it is not of this machine."""
    parts = urlsplit(location)
    return Path(unquote(parts.path)) if parts.scheme == "file" and not parts.netloc else None


def create(database: Path, experiment: str, location: str, runs: Sequence[NewRun]) -> bool:
    """Write new runs; tell whether it could be done here.

    The tag that says that a run is whole comes last: what a kill left is completed.

    Args:
        database: MLflow's database.
        experiment: MLflow's id of the experiment.
        location: where its files lie.
        runs: the runs.
    """
    folder = folder_of(location)
    if folder is None:
        return False
    with contextlib.closing(sqlite3.connect(database, timeout=_WAIT)) as base:
        with base:
            _insert(base, int(experiment), location, runs)
        for run in runs:
            place = folder / run.identity / "artifacts"
            place.mkdir(parents=True)
            for name, text in run.files.items():
                (place / name).write_text(text, "utf-8")
        with base:
            ends = [(_LAST_TAG, run.due.tags[_LAST_TAG], run.identity) for run in runs]
            base.executemany(_TAG, ends)
    return True


def _insert(
    base: sqlite3.Connection, experiment: int, location: str, runs: Sequence[NewRun]
) -> None:
    now = int(time.time() * 1000)
    for run in runs:
        due, key = run.due, run.identity
        ended = None if due.status == "RUNNING" else due.ended or now
        begun, files = due.times[0] or now, f"{location}/{key}/artifacts"
        name = due.tags[NAME_TAG]
        base.execute(_RUN, (key, name, due.status, begun, ended, files, experiment))
        tags = ((name, text, key) for name, text in due.tags.items() if name != _LAST_TAG)
        base.executemany(_TAG, tags)
        base.executemany(_PARAM, ((name, text, key) for name, text in due.params.items()))
        last = {name: step for name, step in sorted(due.points, key=lambda point: point[1])}
        points = [
            (name, *_number(value), due.times.get(step) or now, step)
            for (name, step), value in due.points.items()
        ]
        base.executemany(_METRIC, ((n, v, t, key, step, nan) for n, v, nan, t, step in points))
        base.executemany(
            _LATEST,
            ((n, v, t, step, nan, key) for n, v, nan, t, step in points if last[n] == step),
        )


def _number(value: float) -> tuple[float, bool]:
    """Return a kept value as its row has it, and whether it is NaN."""
    number = written(value)
    return (0.0, True) if math.isnan(number) else (number, False)
