"""The studies of a folder and of a database: found by name, and read beside whoever runs them.

Nothing is taken from a driver and nothing is mended: half a line at the end of a journal is what
its driver is writing now.
"""

import contextlib
import gc
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.study import optuna_private
from pipeline.study.records import EmptyStudyError, StudyRecord
from pipeline.study.storage import (
    NAME,
    check_storage,
    find_study,
    holder,
    is_database,
    open_storage,
    study_folder,
)
from regmix.errors import InputError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

RACE = "-confirm"
"""What a race's name adds to that of its search."""

_BEAT = 60  # seconds between two signs of life, as a driver's --heartbeat is by default


def race_of(place: Path) -> Path:
    """Return the folder of a study's race."""
    return place.with_name(f"{place.name}{RACE}")


@dataclass(frozen=True)
class OpenStudy:
    """A study that was read, with its race where there is one.

    storage: database or journal file that it lies in; None for the journal in its folder.
    place: its folder.
    """

    study: StudyRecord
    race: StudyRecord | None
    storage: str | None
    place: Path

    @property
    def records(self) -> list[StudyRecord]:
        """The study, and its race where there is one."""
        return [self.study] if self.race is None else [self.study, self.race]

    @property
    def running(self) -> bool:
        """Whether a driver runs it, or its race, now."""
        return bool(holder(self.place) or holder(race_of(self.place))) or self.beating

    @property
    def beating(self) -> bool:
        """Whether a driver gives signs of life in a database, from whichever machine."""
        return is_database(self.storage) and any(
            optuna_private.beating(one.study) for one in self.records
        )

    @property
    def changed(self) -> float:
        """When something was last stored of it, in seconds since 1970."""
        if self.storage is None:
            places = (self.place.with_name(one.name) / "journal.log" for one in self.records)
            return max(place.stat().st_mtime for place in places)
        trials = [trial.frozen for study in self.records for trial in study.trials()]
        times = (one for t in trials for one in (t.datetime_start, t.datetime_complete) if one)
        return max((time.timestamp() for time in times), default=0.0)


@dataclass(frozen=True)
class Studies:
    """The studies below a folder, and those of a database or journal file.

    runs: folder of studies.
    storage: database URL or journal file beside; None for none.
    """

    runs: Path
    storage: str | None = None

    @classmethod
    def checked(cls, runs: Path, storage: str | None) -> "Studies":
        """Prove that the storage can be read.

        Raises:
            InputError: where it can't.
        """
        return cls(runs, check_storage(storage, create=False))

    def place(self, name: str, option: str = "--study") -> Path:
        """Return the folder of a study, also where its journal is elsewhere."""
        return study_folder(self.runs, name, option)

    def names(self) -> list[str]:
        """Return the names of all studies, and of races whose search is gone."""
        found = set(self.stored())
        with contextlib.suppress(OSError):
            for place in (self.runs / "studies").iterdir():
                if re.fullmatch(NAME, place.name) and (_has_journal(place) or holder(place)):
                    found.add(place.name)
        return sorted(n for n in found if not (n.endswith(RACE) and n.removesuffix(RACE) in found))

    def stored(self) -> list[str]:
        """Return the names of the studies that lie in the database or journal file."""
        if self.storage is None:
            return []
        storage = self._database
        if storage is None:  # a journal, which may have been written anew
            storage = open_storage(self.storage, self.runs, mend=False)
        return [name for name in optuna_private.study_names(storage) if re.fullmatch(NAME, name)]

    @cached_property
    def _database(self) -> "BaseStorage | None":
        """The database, which takes half a second to open; None for a journal."""
        if not is_database(self.storage):
            return None
        return open_storage(self.storage, self.runs, mend=False)

    def where(self, name: str) -> str | None:
        """Return the storage of a study: that which was named, unless it lies in its folder."""
        if self.storage is None or name in self.stored():
            return self.storage
        return None if _has_journal(self.place(name)) else self.storage

    def open(self, name: str, option: str = "--study") -> OpenStudy:
        """Read a study and its race.

        Args:
            name: the study's name.
            option: option that it was named by.

        Raises:
            InputError: where there is none of this name, or it can't be read.
            EmptyStudyError: where it begins now, or was killed as it began.
        """
        place, storage = self.place(name, option), self.where(name)
        with _no_collections():
            study = _read(name, storage, place, option)
            return OpenStudy(study, self._race(study, storage, place), storage, place)

    def _race(self, study: StudyRecord, storage: str | None, place: Path) -> StudyRecord | None:
        """Return a study's race; None where there is none to be read, or an earlier namesake's."""
        beside = race_of(place)
        if not (_has_journal(beside) if storage is None else beside.name in self.stored()):
            return None
        with contextlib.suppress(InputError):
            race = _read(beside.name, storage, beside, "--study")
            return race if race.source == study.birth else None
        return None

    def size(self, name: str) -> int:
        """Return the bytes of a study's folder and of its race's."""
        place = self.place(name)
        return sum(_bytes(file) for one in (place, race_of(place)) for file in one.rglob("*"))


def _has_journal(place: Path) -> bool:
    return os.path.lexists(place / "journal.log")


def _read(name: str, storage: str | None, place: Path, option: str) -> StudyRecord:
    """Return a study that says what it is about."""
    if storage is None and not _has_journal(place) and holder(place):
        raise EmptyStudyError(f"{option} {name}: begins just now; ask again in a few seconds")
    beat = _BEAT if is_database(storage) else None
    study = find_study(name, storage, place, option, beat)
    if not study.problem:  # a kill came between two writes of its beginning
        raise EmptyStudyError.of(name, option)
    return study


@contextlib.contextmanager
def _no_collections() -> Iterator[None]:
    """Let Python look for no garbage while a study is read: of a large one it takes a fifth."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _bytes(file: Path) -> int:
    """Return a file's bytes, 0 for a folder; it may go while they are counted."""
    with contextlib.suppress(OSError):
        return file.lstat().st_size if file.is_file() and not file.is_symlink() else 0
    return 0
