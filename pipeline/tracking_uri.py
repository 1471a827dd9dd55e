"""Where MLflow keeps its view: proved before a search starts, opened without noise."""

import logging
import os
import sqlite3
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from regmix.errors import InputError

if TYPE_CHECKING:
    from mlflow import MlflowClient


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
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=5).close()
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
    """Import MlFlow quietly and return a client of this URI."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=uri)
