"""Whose a study's folder is: a study of the same name may lie in a database, or in another one.

Its files would be taken for each other's: weights overwritten, and those that the other needs
removed. A journal in the folder says whose it is; of a study that lies elsewhere a file does.
"""

import contextlib
import os
from pathlib import Path

from pipeline.study.records import StudyRecord
from pipeline.trial_files import TrialFiles
from pipeline.trial_files.object_store import StoreUnavailableError
from regmix import atomic
from regmix.errors import InputError, cut

_OWNER, _JOURNAL = "owner", "journal.log"


def owns(study: StudyRecord, place: Path) -> bool:
    """Tell whether a folder is a study's own; one that nobody has made his own is anybody's."""
    if not study.birth:
        return True
    for name in (_JOURNAL, _OWNER):
        if os.path.isfile(place / name):
            return study.birth.encode() in (place / name).read_bytes()
    return True


def prove_owner(study: StudyRecord, place: Path, option: str = "--study") -> None:
    """Prove that a study's folder is its own.

    Args:
        study: the study.
        place: the folder.
        option: option that it was named by.

    Raises:
        InputError: where another study of its name has it.
    """
    if not owns(study, place):
        raise InputError(
            f"{option} {study.name}: {cut(str(place), 100)} is the folder of another study of this "
            "name; give the --storage or the --runs of this one"
        )


def prove_free(name: str, place: Path, storage: str | None, files: TrialFiles) -> None:
    """Prove that no other study of its name has a new study's folder, or files where its are to be.

    Args:
        name: name of the new study.
        place: its folder.
        storage: where it will lie; None for the journal in its folder.
        files: the files of its trials.

    Raises:
        InputError: where another one has.
    """
    taken = os.path.lexists(place / _OWNER)
    taken = taken or (storage is not None and os.path.lexists(place / _JOURNAL))
    where = cut(str(place), 100) if taken else cut(files.uri, 100)
    with contextlib.suppress(StoreUnavailableError):  # who writes to it says so
        taken = taken or any(files.list())
    if taken:
        raise InputError(
            f"--study {name}: is new here, but {where} holds the files of another study of this "
            "name; choose another name by --study, another folder by --runs, or remove them"
        )


def own(study: StudyRecord, place: Path, storage: str | None) -> None:
    """Make a folder a study's own, where its journal doesn't."""
    if storage is not None and not os.path.lexists(place / _OWNER):
        atomic.write(place / _OWNER, lambda path: path.write_text(f"{study.birth}\n"))
