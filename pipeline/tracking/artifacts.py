"""The files beside MLflow's database, found where its folder is now.

MLflow keeps an absolute place with each experiment and each run. Where the folder was moved,
renamed or copied, that is the old one: the database is a view of ours, so it is put right.
"""

import contextlib
import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.base.address import sqlite_file
from pipeline.tracking.mlflow_page import VIEW_TAG

_LOCATED = """
    SELECT experiment_id, artifact_location FROM experiments JOIN experiment_tags
    USING (experiment_id) WHERE key = ?
"""
_MOVE_EXPERIMENT = "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?"
_MOVE_RUNS = """
    UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts' WHERE experiment_id = ?
"""
_WAIT = 30  # seconds for another writer


def folder(runs: Path) -> Path:
    """Return where a folder of studies keeps the files of its view."""
    return runs / "artifacts"


def move(uri: str, experiment: str, place: str) -> None:
    """Let an experiment of a SQLite database, and its runs, have their files in another place.

    Args:
        uri: address of the database; any other address is left alone.
        experiment: MLflow's id of the experiment.
        place: URI of the folder.
    """
    path = sqlite_file(uri)
    if path is not None:
        with contextlib.closing(sqlite3.connect(path, timeout=_WAIT)) as base, base:
            _move(base, int(experiment), place)


def follow(database: Path) -> None:
    """Let every study of a database have its files beside it, where they are there.

    A place that lies elsewhere on purpose has no files here and stays.
    """
    with contextlib.closing(sqlite3.connect(database, timeout=_WAIT)) as base, base:
        for number, location in base.execute(_LOCATED, (VIEW_TAG,)).fetchall():
            name = Path(unquote(urlsplit(location or "").path)).name
            here = folder(database.parent) / name
            if name and here.is_dir() and location != here.as_uri():
                _move(base, number, here.as_uri())


def _move(base: sqlite3.Connection, experiment: int, place: str) -> None:
    base.execute(_MOVE_EXPERIMENT, (place, experiment))
    base.execute(_MOVE_RUNS, (place, experiment))
