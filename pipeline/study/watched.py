"""A study that another process runs, read again where something of it has changed."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.study.storage import holder
from pipeline.study.studies import OpenStudy, Studies, race_of


@dataclass
class Watched:
    """Follows a study and its race.

    studies: where it is.
    name: its name.
    """

    studies: Studies
    name: str
    _opened: OpenStudy | None = None
    _seen: tuple[object, ...] = ()
    _journals: dict[Path, tuple[int, int]] = field(default_factory=dict)  # inode and bytes

    def look(self) -> OpenStudy | None:
        """Return the study where it may have changed since the last look, else None.

        A journal is read from where it was read to. It is read anew where it was written anew, as
        `--retry-failed` does, and where a race has begun.

        Raises:
            InputError: where it can't be read, or is gone.
        """
        place = self.studies.place(self.name)
        now = _journals(place)
        seen = (now, bool(holder(place)), bool(holder(race_of(place))))
        opened = self._opened
        if opened is not None and opened.storage is None and seen == self._seen:
            return None
        if opened is None or opened.storage is not None or self._is_another(now):
            opened = self.studies.open(self.name)
        self._opened, self._seen, self._journals = opened, seen, now
        return opened

    def _is_another(self, now: dict[Path, tuple[int, int]]) -> bool:
        if now.keys() != self._journals.keys():
            return True
        return any(
            now[path][0] != inode or now[path][1] < size
            for path, (inode, size) in self._journals.items()
        )


def _journals(place: Path) -> dict[Path, tuple[int, int]]:
    """Return the journals of a study and its race that are there, with inode and bytes."""
    found = {}
    for path in (place / "journal.log", race_of(place) / "journal.log"):
        with contextlib.suppress(OSError):
            about = path.stat()
            found[path] = about.st_ino, about.st_size
    return found
