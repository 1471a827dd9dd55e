"""Addresses of databases: built and parsed by SQLAlchemy alone, and asked once before a start."""

import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

from regmix.errors import InputError, first_line, masked, shown
from regmix.user_files import absolute, irregularity

if TYPE_CHECKING:
    from sqlalchemy import URL

PATIENCE = 15
"""Seconds within which whatever an address names must have answered."""

_CONNECT = 5  # seconds for the driver of a database, which some drivers divide among addresses
_T = TypeVar("_T")


def sqlite_url(path: Path) -> str:
    """Return the address of a SQLite file, whatever its name holds: blanks, '?', '%' or '#'."""
    from sqlalchemy import URL

    return URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


def parse(address: str, option: str) -> "URL":
    """Read a database's address.

    Args:
        address: what the user wrote.
        option: option that it was written after, such as '--storage'.

    Raises:
        InputError: for what is no address, also where a password holds what must be written as %40.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        raise InputError(
            f"{option}: must be a URL such as sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
            f", but is {shown(masked(address))}"
        ) from None
    if "@" in (url.host or "") or any(c.isspace() for c in f"{url.username}{url.host}"):
        raise InputError(
            f"{option}: its user or password holds a blank, '@', '/' or ':'; write them as %20, "
            "%40, %2F and %3A"
        )
    return url


def sqlite_file(address: str) -> Path | None:
    """Return the file of a SQLite address, None for any other address."""
    if not address.startswith("sqlite"):
        return None
    database = parse(address, "address").database
    return Path(database) if database else None


def same_database(one: str, other: str) -> bool:
    """Tell whether two addresses name one database, whatever driver or user they name."""
    if "://" not in one or other.lower().startswith(("http://", "https://")):
        return False
    first, second = parse(one, "address"), parse(other, "address")
    return (first.get_backend_name(), first.host, first.port, first.database) == (
        second.get_backend_name(),
        second.host,
        second.port,
        second.database,
    )


def check_database(address: str, option: str, known: str, *, create: bool = True) -> str:
    """Prove within seconds that a database can be written to, without making anything.

    Args:
        address: SQLAlchemy's URL of a SQLite file or of a server.
        option: option that it was written after.
        known: a table by which a database of the right program is known; an empty one is too.
        create: whether a SQLite file may be missing.

    Returns:
        the address, a SQLite file's with its whole path.

    Raises:
        InputError: for what is no database, another program's, away, or lacks a driver.
    """
    url = parse(address, option)
    if url.get_backend_name() == "sqlite":
        path = _sqlite_path(url, option)
        _check_sqlite(path, f"{option} {masked(address)}", known, create=create)
        return url.set(database=str(path)).render_as_string(hide_password=False)
    _check_server(url, f"{option} {masked(address)}", known)
    return address


def within_seconds(ask: Callable[[], _T]) -> _T:
    """Call a function that may hang, and return what it returns.

    Raises:
        TimeoutError: after `PATIENCE` seconds; the call is left alone in its thread.
    """
    answers: queue.SimpleQueue[tuple[_T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put((ask(), None))
        except BaseException as error:  # it is raised in the caller's thread
            answers.put((None, error))

    threading.Thread(target=work, name="address", daemon=True).start()
    try:
        answer, error = answers.get(timeout=PATIENCE)
    except queue.Empty:
        raise TimeoutError(f"no answer within {PATIENCE} s") from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]


def is_new(path: Path, place: str) -> bool:
    """Tell whether there is nothing of this name yet, not even a broken link.

    Args:
        path: the file.
        place: option and value, for the message.

    Raises:
        InputError: for a name that no file can have there.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        raise InputError(f"{place}: can't be opened ({error.strerror}); choose another") from None
    return False


def writable_parent(path: Path, place: str) -> None:
    """Prove without writing that a new file could be made.

    Args:
        path: the file.
        place: option and value, for the message.

    Raises:
        InputError: where its folder is missing or can't be written to.
    """
    folder = path.parent
    if not os.path.isdir(folder):
        raise InputError(
            f"{place}: can't be opened (unable to open it), no such folder; make {folder} first"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{place}: can't be opened ({folder} can't be written to); choose another")


def _sqlite_path(url: "URL", option: str) -> Path:
    database = url.database or ""
    if database in ("", ":memory:") or database.startswith("file:"):
        raise InputError(
            f"{option}: must name a file, as sqlite:///FILE does: a database in memory ends with "
            f"the command; but is {shown(url.render_as_string())}"
        )
    if url.query or url.get_driver_name() != "pysqlite":
        raise InputError(
            f"{option}: a SQLite file is named as sqlite:///FILE, without a driver and without "
            f"options after '?' (in a name it is written %3F), but is "
            f"{shown(url.render_as_string())}"
        )
    return absolute(database, option)


def _check_sqlite(path: Path, place: str, known: str, *, create: bool) -> None:
    if is_new(path, place):
        if not create:
            raise InputError(f"{place}: can't be opened (no such file); check the path")
        writable_parent(path, place)
        return
    # asked without opening it: to close a file drops this process's locks on it, SQLite's too
    try:
        reason = irregularity(path)
    except OSError as error:
        raise InputError(f"{place}: can't be opened ({error.strerror}); check the path") from None
    if reason:
        raise InputError(f"{place}: can't be opened ({reason}); give another file")
    try:
        address = f"file:{quote(str(path))}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=_CONNECT)) as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {row[0] for row in rows}
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
    except sqlite3.Error as error:
        if "locked" in str(error):  # it is there, and somebody writes to it
            return
        raise InputError(
            f"{place}: can't be opened ({error}); give another file, or move this one away"
        ) from None
    if tables - {"alembic_version"} and known not in tables:
        raise _foreign(place)
    writable_parent(path, place)


def _check_server(url: "URL", place: str, known: str) -> None:
    import sqlalchemy

    wait = {"connect_timeout": _CONNECT}
    if url.get_backend_name() not in ("postgresql", "mysql", "mariadb"):
        wait = {}
    try:
        engine = sqlalchemy.create_engine(url, connect_args=wait, poolclass=sqlalchemy.NullPool)
        tables = set(within_seconds(lambda: sqlalchemy.inspect(engine).get_table_names()))
    except ImportError as error:
        raise InputError(
            f"{place}: can't be opened ({first_line(error)}); install its driver into the "
            "environment, such as psycopg[binary]"
        ) from None
    except (sqlalchemy.exc.SQLAlchemyError, OSError, ValueError) as error:
        reason = first_line(getattr(error, "orig", None) or error)
        raise InputError(
            f"{place}: can't be opened ({reason}); check the URL, the server and its driver"
        ) from None
    if "alembic_version" in tables and known not in tables:
        raise _foreign(place)


def _foreign(place: str) -> InputError:
    return InputError(
        f"{place}: can't be opened (it is the database of another program); give one that is new"
    )
