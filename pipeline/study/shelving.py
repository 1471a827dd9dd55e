"""Studies deleted and renamed, whole or not at all.

Each change of a folder is one rename. What is made anew is made beside, in a hidden folder, and
what goes is moved there first: so a kill leaves every study whole, under its old name or its new
one or under both, and the same command does what is left. What a kill left in the hidden folder
goes with the next change.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.base.paths import writable_folder
from pipeline.study import optuna_private
from pipeline.study.folder_owner import prove_owner
from pipeline.study.records import StudyRecord
from pipeline.study.retention import files_of
from pipeline.study.storage import alone, exclusive, holder, is_database, open_storage
from pipeline.study.studies import RACE, Studies
from pipeline.trial_files import TrialFiles
from pipeline.trial_files.object_store import StoreUnavailableError
from regmix import atomic
from regmix.errors import InputError
from regmix.user_files import followed

JOURNAL = "journal.log"
_HIDDEN = ".work"  # no study's name begins so
_NOT_COPIED = (JOURNAL, "lock", f"{JOURNAL}.lock", "report.html")  # which holds the old name


@contextlib.contextmanager
def workshop(runs: Path) -> Iterator[Path]:
    """Return an empty folder beside the studies, for what is not finished or goes.

    Raises:
        InputError: where another process changes studies now.
    """
    place = writable_folder(runs / "studies" / _HIDDEN, "--runs")
    with alone(place / "lock"):
        _sweep(place)
        try:
            yield Path(tempfile.mkdtemp(dir=place))
        finally:
            _sweep(place)


def _sweep(place: Path) -> None:
    for left in place.iterdir():
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def claimed(studies: Studies, name: str, option: str) -> Iterator[list[str]]:
    """Hold a study and its race, so that no driver begins with them; return their names.

    Args:
        studies: where they are.
        name: name of the study.
        option: option that it was named by.

    Raises:
        InputError: where there is no such study, or one of the two runs.
    """
    storage, stored = studies.where(name), studies.stored()
    names = [name, f"{name}{RACE}"]
    there = [one for one in names if os.path.lexists(studies.place(one, option)) or one in stored]
    if name not in there:
        studies.open(name, option)  # its error says which there are
    with contextlib.ExitStack() as stack:
        for one in there:
            record = _readable(studies, one)
            if record is not None:
                prove_owner(record, studies.place(one), option)
            running = holder(studies.place(one))
            if running:
                raise InputError(f"{option} {name}: {running} is running it; wait for its end")
            journal = storage if one == name else None
            stack.enter_context(exclusive(studies.place(one), journal)).made = True
        if is_database(storage) and _beats(studies, name):
            raise InputError(
                f"{option} {name}: a driver is running it, by its signs of life in the database; "
                "wait for its end"
            )
        yield there


def _beats(studies: Studies, name: str) -> bool:
    with contextlib.suppress(InputError):  # what can't be read runs nowhere
        return studies.open(name).beating
    return False


def delete(studies: Studies, name: str) -> dict[str, str]:
    """Delete a study and its race, and their files; what was exported stays.

    Returns:
        name -> birth of what is gone, as far as it could be read.

    Raises:
        InputError: where there is none of this name, or it runs.
    """
    with claimed(studies, name, "--delete") as names, workshop(studies.runs) as work:
        storage, stored = studies.where(name), studies.stored()
        births, objects = dict[str, str](), list[TrialFiles]()
        for record in filter(None, (_readable(studies, one) for one in names)):
            births[record.name] = record.birth
            if record.checkpoints:
                objects.append(files_of(record, studies.place(record.name)))
        for one in reversed(names):  # a search without its race is whole, a race alone is not
            if one in stored:
                _delete_stored(str(storage), one, studies.place(one))
            with contextlib.suppress(FileNotFoundError):
                os.rename(studies.place(one), work / one)
        for files in objects:
            _remove_all(files)
    return births


def _readable(studies: Studies, name: str) -> StudyRecord | None:
    """Return a study; None where it can't be read: it can be deleted all the same."""
    with contextlib.suppress(InputError):
        return studies.open(name).study
    return None


def _delete_stored(storage: str, name: str, place: Path) -> None:
    opened = open_storage(storage, place)
    opened.delete_study(opened.get_study_id_from_name(name))


def _remove_all(files: TrialFiles) -> None:
    """Remove what lies in an object store, where it costs nothing but room if it stays."""
    with contextlib.suppress(StoreUnavailableError):
        for number, name in list(files.list()):
            files.remove(number, name)


def rename(studies: Studies, old: str, new: str) -> dict[str, str]:
    """Give a study, and its race, another name.

    Returns:
        new name -> birth, of study and race.

    Raises:
        InputError: where there is none of this name, it runs, it is a race, its files lie under its
            name in an object store, or the new name is taken.
    """
    studies.place(new, "--rename")
    if new == old or new.endswith(RACE):
        raise InputError(
            f"--rename {old} {new}: must be another name, which does not end in {RACE}, as those "
            "of races do; choose one"
        )
    with claimed(studies, old, "--rename") as names, workshop(studies.runs) as work:
        targets = {one: f"{new}{one.removeprefix(old)}" for one in names}
        if studies.storage is not None and studies.where(old) is not None:
            _rename_stored(studies, old, targets)
        else:
            _prove_movable(studies.open(old, "--rename").study)
            _rename_folders(studies, targets, work)
        records = studies.open(new, "--rename").records
    return {record.name: record.birth for record in records}


def _prove_movable(study: StudyRecord) -> None:
    if study.source:
        raise InputError(f"--rename {study.name}: is a race; rename its search, and it goes along")
    if study.checkpoints:
        raise InputError(
            f"--rename {study.name}: has its weights under this name in an object store, "
            f"{study.checkpoints}; such a study keeps its name"
        )


def _rename_folders(studies: Studies, targets: Mapping[str, str], work: Path) -> None:
    """Rename studies whose journals lie in their folders; both names are there for a moment."""
    new = []
    for old, name in targets.items():
        target = studies.place(name)
        if not os.path.lexists(target):
            _copy_under(studies.place(old), work / name, targets)
            new.append(name)
        elif not _is_copy(target, studies.place(old), targets):
            raise _taken(old, name)
    for name in reversed(new):  # the race first: nobody finds the search without it
        try:
            os.rename(work / name, studies.place(name))
        except OSError:  # a search of this name has begun meanwhile
            raise _taken(next(iter(targets)), name) from None
    (work / "gone").mkdir()
    for old in reversed(list(targets)):
        os.rename(studies.place(old), work / "gone" / old)


def _taken(old: str, name: str) -> InputError:
    return InputError(f"--rename {old}: there is a study {name} already; choose another name")


def _copy_under(old: Path, new: Path, names: Mapping[str, str]) -> None:
    """Make a study's folder under another name; its files are the same, linked or copied."""
    new.mkdir()
    for file in sorted(old.rglob("*")):
        target = new / file.relative_to(old)
        if file.is_symlink() or file.relative_to(old).as_posix() in _NOT_COPIED:
            continue
        if file.is_dir():
            target.mkdir()
            continue
        try:
            os.link(file, target)
        except OSError:  # a file system without links
            shutil.copy2(file, target)
    if (old / JOURNAL).exists():
        with open(old / JOURNAL, "rb") as source, open(new / JOURNAL, "wb") as copy:
            copy.writelines(optuna_private.renamed(source, names))
            os.fsync(copy.fileno())
        shutil.copystat(old / JOURNAL, new / JOURNAL)


def _is_copy(new: Path, old: Path, names: Mapping[str, str]) -> bool:
    """Tell whether a kill left a study under both names, and nobody has gone on with either."""
    try:
        with open(old / JOURNAL, "rb") as source:
            due = b"".join(optuna_private.renamed(source, names))
        return (new / JOURNAL).read_bytes() == due
    except OSError:
        return False


def _rename_stored(studies: Studies, old: str, targets: Mapping[str, str]) -> None:
    """Rename studies of a database or of a journal file; then their folders follow."""
    stored, storage = studies.stored(), str(studies.storage)
    names = {one: target for one, target in targets.items() if one in stored}
    if old in stored:
        _prove_movable(studies.open(old, "--rename").study)
        for one, target in targets.items():
            if target in stored or os.path.lexists(studies.place(target)):
                raise _taken(one, target)
        if is_database(storage):
            optuna_private.rename_rows(open_storage(storage, studies.place(old)), names)
        else:
            _rename_in_journal(followed(storage, "--storage"), names)
    elif targets[old] not in stored:
        studies.open(old, "--rename")  # its error says what is wrong
    for one in reversed(list(targets)):
        if os.path.lexists(studies.place(one)):
            os.rename(studies.place(one), studies.place(targets[one]))


def _rename_in_journal(journal: Path, names: Mapping[str, str]) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    known = optuna_private.names_ever(lines)
    for old, new in names.items():
        if new in known:  # Optuna would take the one for the other, also where that is deleted
            raise _taken(old, new)
    due = b"".join(optuna_private.renamed(lines, names))
    atomic.write(journal, lambda file: file.write_bytes(due))
