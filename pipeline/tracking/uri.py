"""Where MLflow keeps its view: proved before a search starts, opened without noise."""

import contextlib
import logging
import os
import sqlite3
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from regmix.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"


def default_uri(runs: Path) -> str:
    """Return MLflow's database in a folder of studies."""
    return f"sqlite:///{runs / DATABASE}"


def check_uri(uri: str) -> None:
    """Prove within seconds, and without importing MLflow, that a tracking URI can be written to.

    Raises:
        InputError: for a URI of another kind, a damaged database, or a server that is away.
    """
    parts = urllib.parse.urlsplit(uri)
    if parts.scheme == "sqlite":
        path = Path(uri.removeprefix("sqlite:///"))
        try:
            with sqlite3.connect(path, timeout=5) as connection:
                connection.execute("PRAGMA journal_mode=WAL")  # readers never wait for the writer
                connection.execute("PRAGMA schema_version")
        except sqlite3.Error as error:
            raise InputError(
                f"--tracking-uri {uri}: can't be opened ({error}); give another file, or move "
                "this one away"
            ) from None
    elif parts.scheme in ("http", "https"):
        try:
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=20).close()
        except (OSError, ValueError) as error:
            raise InputError(
                f"--tracking-uri {uri}: no MLflow server answers ({error}); start it first"
            ) from None
    elif not (parts.scheme and "://" in uri) or parts.scheme == "file":
        raise InputError(
            f"--tracking-uri: must be sqlite:///FILE, a database URL or http://HOST:PORT, but is "
            f"{uri!r}"
        )


def connect(uri: str) -> "MlflowClient":
    """Import MLflow quietly and return a client of this URI, with its database made.

    Drivers that begin at once make a new database one after the other: MLflow's own migrations
    would race. One that was begun and not finished, on a full disk say, is made anew.

    Raises:
        InputError: as `check_uri`; MLflow itself would try for two minutes.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    check_uri(uri)
    if not uri.startswith("sqlite:///"):
        return MlflowClient(tracking_uri=uri)
    path = Path(uri.removeprefix("sqlite:///"))
    with FileLock(path.with_name(f"{path.name}.lock")):
        if _unfinished(path):
            for file in (
                path,
                path.with_name(f"{path.name}-wal"),
                path.with_name(f"{path.name}-shm"),
            ):
                file.unlink(missing_ok=True)
            check_uri(uri)
        return MlflowClient(tracking_uri=uri)  # makes the tables, or migrates them


def _unfinished(path: Path) -> bool:
    """Return whether MLflow began to make this database and holds nothing in it.

    A finished one has an experiment from the start, named Default.
    """
    with contextlib.closing(sqlite3.connect(path, timeout=5)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        if not {"experiments", "runs", "alembic_version"} <= tables:
            return False
        held = "SELECT EXISTS (SELECT 1 FROM experiments) OR EXISTS (SELECT 1 FROM runs)"
        return not connection.execute(held).fetchone()[0]
