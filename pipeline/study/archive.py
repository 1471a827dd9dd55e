"""A study as one file, and back again, on another machine too.

The file is a ZIP: a manifest with the digest of each file, then the journals and the weights of the
study and of its race. It is read as one reads a stranger's: no name but those that a study has, no
byte beyond what the manifest says and the disk takes, no link, nothing executed or unpickled.
"""

import hashlib
import json
import os
import re
import shutil
import zipfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pipeline.study import optuna_private
from pipeline.study.records import StudyRecord
from pipeline.study.shelving import JOURNAL, claimed, workshop
from pipeline.study.storage import find_study, mend_journal
from pipeline.study.studies import RACE, Studies
from regmix import atomic
from regmix.errors import InputError, cut, first_line, shown
from regmix.user_files import absolute, regular_file

ENDING = ".zip"
_MANIFEST = "manifest.json"
_FORMAT = 1
_LARGEST = 64 << 20  # bytes of a manifest: of a thousand trials it has 200 kB
_PART = 1 << 20
_FILE = re.compile(r"([^/]+)/(journal\.log|trials/\d{4,9}/[a-z]+\.(?:safetensors|pt))")
# what `zipfile` raises for a file that is damaged, or was made to deceive it
_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    RuntimeError,
    OverflowError,
    AttributeError,
)


@dataclass(frozen=True)
class Archived:
    """What is in an archive.

    study: name of the study.
    births: birth of the study, and of its race, by their names.
    versions: versions and digest of the code that packed it.
    files: file below the folder of studies -> its bytes and its SHA-256.
    """

    study: str
    births: Mapping[str, str]
    versions: Mapping[str, str]
    files: Mapping[str, tuple[int, str]]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for size, _ in self.files.values())


def pack(studies: Studies, name: str, file: str, versions: Mapping[str, str]) -> Archived:
    """Write a study and its race into one file, whole or not at all.

    A study of a database is packed as a journal: it goes on without the database.

    Args:
        studies: where it is.
        name: its name.
        file: the file to write, as it was typed.
        versions: versions of what packs it.

    Raises:
        InputError: where it runs, can't be read, or the file is there already.
    """
    target = absolute(file, "--archive")
    if target.suffix != ENDING or os.path.lexists(target) or not target.parent.is_dir():
        raise InputError(
            f"--archive {cut(file, 100)}: must be a new file in a folder that is there, whose name "
            f"ends in {ENDING}; choose another"
        )
    with claimed(studies, name, "--archive"), workshop(studies.runs) as work:
        opened, found = studies.open(name, "--archive"), dict[str, Path]()
        for record in opened.records:
            place = studies.place(record.name)
            found[f"{record.name}/{JOURNAL}"] = _journal(record, place, opened.storage, work)
            weights = sorted(place.glob("trials/*/*"))
            names = {
                f"{record.name}/{file.relative_to(place).as_posix()}": file for file in weights
            }
            found |= {one: file for one, file in names.items() if _FILE.fullmatch(one)}
        files = {one: _measured(path) for one, path in found.items() if not path.is_symlink()}
        births = {record.name: record.birth for record in opened.records}
        result = Archived(name, births, dict(versions), files)
        atomic.write(target, lambda path: _write(path, result, found))
    return result


def _journal(record: StudyRecord, place: Path, storage: str | None, work: Path) -> Path:
    """Return a study's journal; it is written where the study lies elsewhere."""
    if storage is None:
        mend_journal(place / JOURNAL)
        return place / JOURNAL
    journal = work / record.name
    optuna_private.copied_study(record.study, journal)
    return journal


def _measured(path: Path) -> tuple[int, str]:
    with open(path, "rb") as file:
        return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, archived: Archived, found: Mapping[str, Path]) -> None:
    manifest = {
        "archive": _FORMAT,
        "study": archived.study,
        "births": archived.births,
        "versions": archived.versions,
        "files": {name: list(one) for name, one in archived.files.items()},
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(_MANIFEST, json.dumps(manifest, indent=1))
        for name in archived.files:
            # weights are noise to a compressor
            kind = zipfile.ZIP_DEFLATED if name.endswith(JOURNAL) else zipfile.ZIP_STORED
            with open(found[name], "rb") as source, file.open(_entry(name, kind), "w") as to:
                shutil.copyfileobj(source, to, _PART)
    with open(path, "rb") as written:
        os.fsync(written.fileno())


def _entry(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.compress_type, entry.external_attr = kind, 0o644 << 16
    return entry


def restore(runs: Path, file: str) -> Archived:
    """Put the study of an archive, and its race, into a folder of studies, or nothing at all.

    Args:
        runs: folder of studies.
        file: the archive, as it was typed.

    Raises:
        InputError: for what is no archive, is damaged, too large for the disk, or holds a study
            whose name or self is there already.
    """
    path = regular_file(absolute(file, "--restore"))
    with workshop(runs) as work:
        archived = _checked(path, lambda source: _unpack(source, Studies(runs), work))
        for name, birth in archived.births.items():
            _prove(work, name, birth, path)
        for name in sorted(archived.births, key=len, reverse=True):  # the race first
            os.rename(work / name, runs / "studies" / name)
    return archived


def _checked(path: Path, read: Callable[[zipfile.ZipFile], Archived]) -> Archived:
    try:
        with zipfile.ZipFile(path) as source:
            return read(source)
    except InputError:
        raise
    except _DAMAGED as error:
        raise _damaged(path, cut(first_line(error), 80)) from None


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(
        f"--restore {path}: is no archive of a study, or is damaged ({reason}); make it again by "
        "--archive"
    )


def _unpack(source: zipfile.ZipFile, studies: Studies, work: Path) -> Archived:
    """Write what an archive holds into a folder, once all of its names are proved."""
    archived = _manifest(source)
    entries = [entry for entry in source.infolist() if entry.filename != _MANIFEST]
    names = [entry.filename for entry in entries]
    if sorted(names) != sorted(archived.files) or len(source.infolist()) != len(names) + 1:
        raise ValueError("its files are not those of its manifest")
    _take_left_race(archived, studies, work)
    _prove_room(archived, studies)
    for name in archived.births:
        (work / name).mkdir()
    for entry in entries:
        size, digest = archived.files[entry.filename]
        target = work / entry.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        with source.open(entry) as content, open(target, "xb") as to:
            if _copy(content, to, size) != digest:
                raise ValueError(f"{entry.filename} is not what was packed")
    return archived


def _manifest(source: zipfile.ZipFile) -> Archived:
    with source.open(_MANIFEST) as file:
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise ValueError("its manifest is too long")
    found = json.loads(text)
    if found["archive"] != _FORMAT:
        raise ValueError(f"it has format {shown(found['archive'])}, this version reads {_FORMAT}")
    name, births, versions = found["study"], dict(found["births"]), dict(found["versions"])
    files = {str(one): (int(size), str(digest)) for one, (size, digest) in found["files"].items()}
    if name not in births or births.keys() - {name, f"{name}{RACE}"}:
        raise ValueError("it holds other studies than one and its race")
    journals = {f"{one}/{JOURNAL}" for one in births}
    strange = [one for one in files if not _is_of(one, births)] + sorted(journals - files.keys())
    if strange or any(size < 0 for size, _ in files.values()):
        raise ValueError(f"no study has such files: {shown(strange)}")
    return Archived(name, births, versions, files)


def _is_of(name: str, births: Mapping[str, str]) -> bool:
    """Tell whether a name is that of a file of one of these studies, and leads nowhere else."""
    parts = _FILE.fullmatch(name)
    return parts is not None and parts[1] in births


def _take_left_race(archived: Archived, studies: Studies, work: Path) -> None:
    """Take away the race that a restoring left which was killed before it came to the search."""
    race = f"{archived.study}{RACE}"
    there = os.path.lexists(studies.place(archived.study, "--restore"))
    if not there and archived.births.get(race, "") == _birth(studies, race):
        (work / "left").mkdir()
        os.rename(studies.place(race), work / "left" / race)


def _prove_room(archived: Archived, studies: Studies) -> None:
    """Raise InputError where a study is there already, or the disk has no room."""
    runs = studies.runs
    for name in archived.births:
        if os.path.lexists(studies.place(name, "--restore")):
            raise InputError(
                f"--restore: there is a study {name} in {runs} already; give that one another "
                f"name by --rename {archived.study} NEW, or restore into another folder by --runs"
            )
    for name in studies.names():
        if _birth(studies, name) == archived.births[archived.study]:
            raise InputError(
                f"--restore: this study is in {runs} already, as {name}; go on with that one, or "
                "restore into another folder by --runs"
            )
    free = shutil.disk_usage(runs).free
    if archived.size > free:
        raise InputError(
            f"--restore: needs {archived.size >> 20} MB and {runs} has {free >> 20} MB left; make "
            "room or choose another place by --runs"
        )


def _birth(studies: Studies, name: str) -> str | None:
    with suppress(InputError):
        return studies.open(name).study.birth
    return None


def _copy(source: IO[bytes], to: IO[bytes], size: int) -> str:
    """Copy exactly so many bytes, and return their digest; '' where there are more or fewer."""
    digest, left = hashlib.sha256(), size
    while part := source.read(min(_PART, left + 1)):
        left -= len(part)
        if left < 0:
            return ""
        digest.update(part)
        to.write(part)
    return digest.hexdigest() if not left else ""


def _prove(work: Path, name: str, birth: str, path: Path) -> None:
    """Raise InputError where a journal is not the study that the manifest says."""
    try:
        study = find_study(name, None, work / name, "--restore")
    except InputError as error:
        raise _damaged(path, cut(str(error), 120)) from None
    if study.birth != birth:
        raise _damaged(path, f"{name} is another study")
