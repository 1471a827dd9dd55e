"""Where a study lives: its folder, its lock, and the storage that remembers it."""

import contextlib
import fcntl
import json
import os
import re
import socket
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from pipeline.base.address import check_database, is_new, sqlite_file, writable_parent
from pipeline.base.paths import writable_folder
from pipeline.study import optuna_private
from pipeline.study.followed_storage import FollowedStorage
from pipeline.study.records import EmptyStudyError, StudyRecord
from regmix.errors import InputError, cut, first_line, masked, shown, unknown
from regmix.user_files import absolute, followed, regular_file

if TYPE_CHECKING:
    from optuna.storages import BaseStorage


NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""Form of a study's name, which is that of its folder too."""

_PATIENCE = 0.2  # seconds to ask for a lock, which a mere reader holds for microseconds
_RESTORE = "restore it, or choose another name by --study"
# what Optuna raises depends on which record of a journal is wrong
_DAMAGED = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RecursionError)


def study_folder(runs: Path, study: str, option: str = "--study") -> Path:
    """Return the folder of a study's journal, checkpoints and weights; `exclusive` makes it.

    Args:
        runs: folder of all studies.
        study: name of the study.
        option: option that it was named by.

    Raises:
        InputError: for a name that is no file name.
    """
    if not re.fullmatch(NAME, study):
        raise InputError(
            f"{option}: must be letters, digits, '.', '_' and '-' (at most 100), but is "
            f"{shown(study)}"
        )
    return runs / "studies" / study


def is_database(storage: str | None) -> bool:
    """Tell whether a study lies in a database, which several drivers may share."""
    return storage is not None and "://" in storage


def check_storage(spec: str | None, *, create: bool = True) -> str | None:
    """Prove within seconds that a study can be kept there, without making anything.

    Args:
        spec: database URL that SQLAlchemy knows, or path of a journal file; None for the journal
            in the study's folder.
        create: whether the place may be new; else it must hold studies already.

    Returns:
        the same, with a file's whole path.

    Raises:
        InputError: for what is no storage, another program's, away, or lacks a driver.
    """
    if spec is None:
        return None
    if is_database(spec):
        return check_database(spec, "--storage", "studies", create=create)
    path, place = absolute(spec, "--storage"), f"--storage {cut(spec, 100)}"
    if not create or not is_new(path, place):
        regular_file(path, "give a journal file or a database URL by --storage")
        if not os.access(path, os.R_OK | (os.W_OK if create else 0)):
            raise InputError(f"{place}: can't be written to; give another file, or its permission")
        _check_journal(path)
    if create:
        writable_parent(path, place)
    return str(path)


@dataclass
class Claim:
    """A study's name, held by one driver.

    made: whether the study is there; what was made for it stays then, however the driver ends.
    """

    made: bool = False


@contextlib.contextmanager
def exclusive(place: Path, storage: str | None) -> Iterator[Claim]:
    """Make a study's folder and hold it, and its journal where that lies elsewhere, for one driver.

    The kernel lets go when the process dies, however it dies. A study in a database is held for
    its beginning alone, and whoever comes meanwhile waits. Where an error ends it before the study
    is there, what was made for it goes again.

    Raises:
        InputError: where another process holds one of them, or the folder can't be written to.
    """
    locks = _locks(place, storage)
    claim, new = Claim(), [path for path in locks if not path.exists()]
    with contextlib.ExitStack() as stack:
        for path in locks:
            _take(path, place, stack, wait=is_database(storage))
        try:
            yield claim
        except BaseException:
            if not claim.made:
                _clear(new, place)
            raise


def _locks(place: Path, storage: str | None) -> list[Path]:
    """Return the locks of a study: its folder's, and that of a journal which lies elsewhere."""
    locks = [place / "lock"]
    if storage and not is_database(storage):
        journal = followed(storage, "--storage")
        locks.append(journal.with_name(f"{journal.name}.driver"))
    return locks


def holder(place: Path) -> str:
    """Return which process holds a study's folder, '' for none: the kernel says so.

    Nothing is taken that a driver would miss: a shared lock, for as long as it takes to ask.
    """
    try:
        lock = os.open(place / "lock", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # never held, or no file of this tool
        return ""
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(lock, 200).decode(errors="replace").strip() or "another process"
    except OSError:  # a file system without locks, on which nobody can hold one
        return ""
    finally:
        os.close(lock)
    return ""


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock of whoever deletes, renames or restores studies of a folder.

    Raises:
        InputError: where another process holds it.
    """
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(FileLock(path, timeout=_PATIENCE))
        except Timeout:
            raise InputError(
                f"{path}: another process deletes, renames or restores a study now; wait for its "
                "end"
            ) from None
        yield


def _take(path: Path, place: Path, stack: contextlib.ExitStack, *, wait: bool) -> None:
    """Lock a file until the stack is closed."""
    while True:
        writable_folder(place, "--runs")
        try:
            # as a timeout, -1 waits for as long as it takes
            stack.enter_context(FileLock(path, timeout=-1 if wait else _PATIENCE))
            path.write_text(f"process {os.getpid()} on {socket.gethostname()}")
            return
        except FileNotFoundError:  # who held it was refused, and took the folder away
            if path.parent != place:
                raise
        except IsADirectoryError:
            raise InputError(
                f"{path}: must be a file of this tool, but is a folder; remove it"
            ) from None
        except Timeout:
            holder = path.read_text().strip() or "another process"
            raise InputError(
                f"--study {place.name}: {holder} is running it; wait for its end, or choose "
                "another name by --study"
            ) from None


def _clear(locks: list[Path], place: Path) -> None:
    """Remove locks that are held, and the study's folder where nothing else is in it.

    Storages stay: another study may lie in them.
    """
    for path in locks:
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        place.rmdir()


def open_storage(
    spec: str | None, place: Path, *, mend: bool = True, beat: int | None = None
) -> "BaseStorage":
    """Open an Optuna storage.

    Args:
        spec: database URL that SQLAlchemy knows, or path of a journal file; None for the journal
            in the study's folder.
        place: the study's folder.
        mend: whether this process may repair a journal, since it alone writes to the study.
        beat: seconds between the heartbeats of a driver on a database; None for a mere reader.

    Raises:
        InputError: where it can't be opened.
    """
    if spec and is_database(spec):
        return _open_database(spec, beat)
    path = followed(spec, "--storage") if spec else place / "journal.log"
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        if os.path.lexists(path):
            regular_file(path, _RESTORE)
            (mend_journal if mend else _check_journal)(path)
        return FollowedStorage(JournalStorage(JournalFileBackend(str(path))))
    except OSError as error:
        raise InputError(
            f"--storage {path}: can't be opened ({error.strerror}); choose another file"
        ) from None
    except InputError:
        raise
    except _DAMAGED as error:
        raise _no_journal(path, first_line(error)[:80]) from None


def existing_study(
    name: str, storage: str | None, place: Path, beat: int | None = None
) -> StudyRecord | None:
    """Load a study to write to it, where there is one; make nothing.

    Args:
        name: the study's name.
        storage, place, beat: as of `open_storage`.

    Raises:
        InputError: where its storage can't be opened.
    """
    file = _file_of(storage, place)
    if file is not None and not os.path.lexists(file) and os.access(file.parent, os.W_OK):
        return None  # else to open it says what is wrong
    import optuna

    _quiet()
    try:
        return StudyRecord(
            optuna.load_study(study_name=name, storage=open_storage(storage, place, beat=beat))
        )
    except KeyError:
        return None


def _file_of(storage: str | None, place: Path) -> Path | None:
    """Return the file that a storage is; None for a server."""
    if storage is None:
        return place / "journal.log"
    if not is_database(storage):
        return followed(storage, "--storage")
    return sqlite_file(storage)


def open_study(name: str, storage: "BaseStorage") -> StudyRecord:
    """Load a study to write to it, or create it."""
    import optuna

    _quiet()
    try:  # to create one where it exists would write to the journal
        found = optuna.load_study(study_name=name, storage=storage)
    except KeyError:
        found = optuna.create_study(study_name=name, storage=storage, direction="maximize")
    return StudyRecord(found)


def _quiet() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # it beats for itself within its own loop alone; `pipeline.study.heartbeat` does here
    warnings.filterwarnings("ignore", message="Heartbeat of storage")


def find_study(
    name: str,
    storage: str | None,
    place: Path,
    option: str = "--study",
    beat: int | None = None,
) -> StudyRecord:
    """Load a study to read it.

    Args:
        name: the study's name.
        storage: database URL or journal file; None for the journal in the study's folder.
        place: the study's folder.
        option: option that it was named by.
        beat: seconds between the heartbeats of its drivers, for who asks which of them live.

    Raises:
        InputError: where there is none of this name, or one of another format.
    """
    import optuna

    storage = check_storage(storage, create=False)
    _quiet()
    if storage is None and not os.path.exists(place / "journal.log"):
        known = [path.parent.name for path in place.parent.glob("[!.]*/journal.log")]
        raise unknown(option, "study", name, known or ["(none yet: make search)"])
    try:
        opened = open_storage(storage, place, mend=False, beat=beat)
        found = optuna.load_study(study_name=name, storage=opened)
    except KeyError:
        if storage is None and not opened.get_all_studies():
            raise EmptyStudyError.of(name, option) from None
        raise InputError(f"{option} {name}: is not in this storage; check --storage") from None
    study = StudyRecord(found)
    study.check_format(option)
    return study


def mend_journal(path: Path) -> None:
    """Make a journal whose driver was killed usable again.

    A kill may leave half a line at the end, to which the next record would be glued, and the
    link that locks the file for writing. Call it only while no other driver writes.

    Raises:
        InputError: where the file is no journal at all.
    """
    _check_journal(path)
    (path.parent / f"{path.name}.lock").unlink(missing_ok=True)
    with open(path, "r+b") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole and not _is_record(content[:whole].splitlines()[-1]):  # Optuna looks at it late
            raise _no_journal(path, "its last line is no record")
        if whole < len(content):
            file.truncate(whole)


def _check_journal(path: Path) -> None:
    """Raise InputError where a file that is not empty doesn't begin as Optuna's journals do."""
    with open(path, "rb") as file:
        first = file.readline(1 << 16)
    begun = not first.endswith(b"\n") and first.startswith(b'{"op_code'[: len(first)])
    if not (begun or (first.endswith(b"\n") and _is_record(first))):
        raise _no_journal(path, "its first line is no record")  # a kill may have cut it


def _is_record(line: bytes) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "op_code" in found


def _no_journal(path: Path, reason: str) -> InputError:
    return InputError(
        f"--storage {path}: is no Optuna journal or is damaged ({reason}); {_RESTORE}"
    )


def _open_database(url: str, beat: int | None) -> "BaseStorage":
    import optuna
    import sqlalchemy.exc

    from pipeline.study.heartbeat import MISSED_BEATS

    url = check_database(url, "--storage", "studies")
    try:
        # another program may lock the file for a while: wait, as a server would
        patient = {"connect_args": {"timeout": 120}} if sqlite_file(url) else {}
        grace = None if beat is None else MISSED_BEATS * beat
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            found = optuna.storages.RDBStorage(
                url, engine_kwargs=patient, heartbeat_interval=beat, grace_period=grace
            )
        return FollowedStorage(optuna_private.cached(found))
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, RuntimeError, OSError) as error:
        reason = first_line(getattr(error, "orig", None) or error)
        raise InputError(
            f"--storage {masked(url)}: can't be opened ({reason}); check the URL, the "
            "server and its driver"
        ) from None
