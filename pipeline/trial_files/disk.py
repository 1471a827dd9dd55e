"""The files of a study's trials: where they lie, which are needed, and which go."""

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pipeline.report.leaderboard import ranked
from pipeline.trial_files.object_store import ObjectStore, StoreUnavailableError, below
from regmix import atomic

if TYPE_CHECKING:
    from optuna.study import Study

WEIGHTS, CHECKPOINT = "weights.safetensors", "checkpoint.pt"
BEST_WEIGHTS = "best.safetensors"  # of an earlier epoch than the last


class Files(Protocol):
    """Files by a trial's number and a name; each is there whole or not at all.

    Raises:
        StoreUnavailableError: from every method, where an object store does not answer.
    """

    @property
    def place(self) -> str:
        """A folder's path, or a URL: what `open_files` takes."""

    def listed(self) -> Iterator[tuple[int, str]]:
        """Return all that there are, halves that a kill left among them."""

    def read(self, number: int, name: str) -> bytes | None:
        """Return a file's content, None where there is none."""

    def write(self, number: int, name: str, content: bytes | memoryview) -> None:
        """Write a file, or leave the old one whole."""

    def remove(self, number: int, name: str) -> None:
        """Remove a file that may not be there."""


@dataclass(frozen=True)
class Disk:
    """A folder for each trial, which every machine that trains sees under the same path."""

    root: Path

    @property
    def place(self) -> str:
        """The path."""
        return str(self.root)

    def listed(self) -> Iterator[tuple[int, str]]:
        """Walk through the folders."""
        for folder in sorted(self.root.glob("[0-9]*")):
            if not folder.name.isdecimal():  # somebody's copy
                continue
            with contextlib.suppress(FileNotFoundError):  # another driver tidies too
                yield from [(int(folder.name), path.name) for path in sorted(folder.iterdir())]

    def read(self, number: int, name: str) -> bytes | None:
        """Read a file."""
        try:
            return self._path(number, name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, number: int, name: str, content: bytes | memoryview) -> None:
        """Write under another name, then rename; what a kill left half written goes."""
        path = self._path(number, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        for half in path.parent.glob(f".{name}-*"):
            half.unlink(missing_ok=True)
        atomic.write(path, lambda temporary: temporary.write_bytes(content))

    def remove(self, number: int, name: str) -> None:
        """Remove a file, and the folder with the last one."""
        path = self._path(number, name)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it holds others, or another driver was quicker
            path.parent.rmdir()

    def _path(self, number: int, name: str) -> Path:
        return self.root / f"{number:04d}" / name


def open_files(place: str) -> Files:
    """Return the files at a place: a folder's path, or the URL of one in an object store."""
    return ObjectStore(place) if "://" in place else Disk(Path(place))


def files_of(study: "Study", study_folder: Path) -> Files:
    """Return where the study's trials keep their files: in its folder unless told otherwise."""
    url = study.user_attrs.get("store", {}).get("checkpoints")
    if not url:
        return Disk(study_folder / "trials")
    return open_files(below(url, study.study_name))


def tidy(study: "Study", files: Files, kept: int, busy: Collection[int] = ()) -> None:
    """Remove the files of ended trials that nobody needs any more.

    Args:
        study: says how the trials ended.
        files: of its trials.
        kept: how many of the best complete trials keep their weights; the default does too.
        busy: numbers of trials whose workers may still write.
    """
    trials = ranked(study)
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    needed = {trial.number for trial in complete[:kept]}
    needed |= {trial.number for trial in complete if trial.user_attrs.get("origin") == "default"}
    ended = {t.number for t in trials if t.state.is_finished()} - set(busy)
    with contextlib.suppress(StoreUnavailableError):  # they go the next time
        for number, name in list(files.listed()):
            if number in ended and not (number in needed and name in (WEIGHTS, BEST_WEIGHTS)):
                files.remove(number, name)
