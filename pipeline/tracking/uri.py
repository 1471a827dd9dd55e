"""Where MLflow keeps its view: proved before a search starts, opened without noise."""

import base64
import contextlib
import http.client
import json
import logging
import os
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from pipeline.base.address import check_database, parse, sqlite_file, sqlite_url, within_seconds
from regmix.errors import InputError, first_line, masked, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient

DATABASE = "mlflow.db"
_TABLE = "experiments"  # by which a database of MLflow is known
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")  # that MLflow writes to
_FILES: dict[Path, list[int]] = {}  # the files that this process had under a name
_STATEMENTS = 128  # Python's default
_ASKED = "api/2.0/mlflow/experiments/search?max_results=1"


def default_uri(runs: Path) -> str:
    """Return MLflow's database in a folder of studies."""
    return sqlite_url(runs / DATABASE)


def is_server(uri: str) -> bool:
    """Tell whether a tracking URI names a server, which decides where artifacts lie."""
    return uri.lower().startswith(("http://", "https://"))


def check_uri(uri: str) -> str:
    """Prove within seconds, and without importing MLflow, that a tracking URI can be written to.

    Nothing is made by it.

    Returns:
        the URI, with a SQLite file's whole path.

    Raises:
        InputError: for a URI of another kind, a database that is damaged or another program's, or
            a server that is away or refuses.
    """
    scheme, separator, _ = uri.partition("://")
    if is_server(uri):
        _check_server(uri)
        return uri
    if not separator or scheme.lower().partition("+")[0] not in _DATABASES:
        raise InputError(
            "--tracking-uri: must be sqlite:///FILE, a database URL or http://HOST:PORT, but is "
            f"{shown(masked(uri))}"
        )
    return check_database(uri, "--tracking-uri", _TABLE)


def connect(uri: str) -> "MlflowClient":
    """Import MLflow quietly and return a client of this URI, with its database made.

    Drivers that begin at once make a new database one after the other: MLflow's own migrations
    would race. One that was begun and not finished, on a full disk say, is made anew.

    Raises:
        InputError: as `check_uri`; MLflow itself would try for two minutes.
    """
    os.environ.pop("MLFLOW_ENABLE_ASYNC_LOGGING", None)  # what is written is there at the end
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    from mlflow import MlflowClient
    from mlflow.tracking._tracking_service import utils

    # it remembers where a run's files lie by the run's id, which that of a copied folder has too
    getattr(utils, "_artifact_repos_cache", {}).clear()
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    uri = check_uri(uri)
    path = sqlite_file(uri)
    if path is None:
        uri = _with_credentials_apart(uri) if is_server(uri) else uri
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    os.environ.pop("MLFLOW_ENABLE_WORKSPACES", None)  # it would show another part of the database
    with FileLock(path.with_name(f"{path.name}.lock")):
        if path.exists() and _unfinished(path):
            for ending in ("", "-wal", "-shm"):
                path.with_name(f"{path.name}{ending}").unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(path, timeout=5)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # readers never wait for the writer
        uri = _of_this_file(path)
        return MlflowClient(tracking_uri=uri, registry_uri=uri)  # makes the tables, or migrates


def mlflow_url(path: Path) -> str:
    """Return the address of a SQLite file as MLflow is to have it.

    After `sqlite:///` it makes a folder of the rest as it stands, also where that is quoted.
    """
    uri = sqlite_url(path)
    plain = uri == f"sqlite:///{path}"
    return uri if plain else f"sqlite+pysqlite{uri.removeprefix('sqlite')}"


def _of_this_file(path: Path) -> str:
    """Return MLflow's address of a SQLite file, another one where the file was replaced.

    MLflow keeps a file open for as long as the process lives, by its address, and would go on
    writing to one that was deleted. The number of prepared statements that SQLite keeps is part of
    the address and changes nothing else.
    """
    files, now = _FILES.setdefault(path, []), path.stat().st_ino
    if now not in files:
        files.append(now)
    place = files.index(now)
    uri = parse(mlflow_url(path), "--tracking-uri")
    if place:
        uri = uri.update_query_dict({"cached_statements": str(_STATEMENTS + place)})
    return uri.render_as_string(hide_password=False)


def _check_server(uri: str) -> None:
    """Ask a server for one experiment: what answers that is MLflow, and lets this user in."""
    place = f"--tracking-uri {masked(uri)}"

    def ask() -> bytes:
        bare, user, password = _divided(uri)
        user = user or os.environ.get("MLFLOW_TRACKING_USERNAME", "")
        password = password or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
        request = urllib.request.Request(f"{bare.rstrip('/')}/{_ASKED}")
        if user:
            words = base64.b64encode(f"{user}:{password}".encode()).decode()
            request.add_header("Authorization", f"Basic {words}")
        elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            request.add_header("Authorization", f"Bearer {token}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            found: bytes = answer.read(1 << 20)
            return found

    try:
        content = json.loads(within_seconds(ask))
        if not isinstance(content, dict):
            raise ValueError("another program does")
    except urllib.error.HTTPError as error:
        if error.code in (401, 403):
            raise InputError(
                f"{place}: refuses the user or password; write http://USER:PASSWORD@HOST:PORT, or "
                "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            ) from None
        raise _no_server(place, f"status {error.code}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None)
        known = first_line(reason if isinstance(reason, BaseException) else error)
        if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
            known = "another program does"
        raise _no_server(place, known) from None


def _no_server(place: str, reason: str) -> InputError:
    return InputError(f"{place}: no MLflow server answers ({reason}); start it first")


def _divided(uri: str) -> tuple[str, str, str]:
    """Return a server's address without user and password, and these two."""
    parts = urllib.parse.urlsplit(uri)
    who, at, where = parts.netloc.rpartition("@")
    if not at:
        return uri, "", ""
    user, _, password = who.partition(":")
    bare = urllib.parse.urlunsplit(parts._replace(netloc=where))
    return bare, urllib.parse.unquote(user), urllib.parse.unquote(password)


def _with_credentials_apart(uri: str) -> str:
    """Return a server's address without user and password, which MLflow takes from variables."""
    bare, user, password = _divided(uri)
    if user:
        os.environ["MLFLOW_TRACKING_USERNAME"] = user
        os.environ["MLFLOW_TRACKING_PASSWORD"] = password
    return bare


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
