"""Files of trials, by a trial's number and a name: on a disk or in an object store."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol

from pipeline.trial_files.disk import DiskFiles
from pipeline.trial_files.object_store import ObjectStoreFiles

WEIGHTS, CHECKPOINT = "weights.safetensors", "checkpoint.pt"
BEST_WEIGHTS = "best.safetensors"  # of an earlier epoch than the last


class TrialFiles(Protocol):
    """Each file is there whole or not at all.

    Raises:
        StoreUnavailableError: from every method, where an object store does not answer.
    """

    @property
    def uri(self) -> str:
        """A folder's path, or a URL: what `open_files` takes."""

    def list(self) -> Iterator[tuple[int, str]]:
        """Yield number and name of every file, those half written before a kill too."""

    def read(self, number: int, name: str) -> bytes | None:
        """Return a file's content, None where there is none."""

    def write(self, number: int, name: str, fill: Callable[[IO[bytes]], object]) -> None:
        """Let a function fill a file, or leave the old one whole."""

    def remove(self, number: int, name: str) -> None:
        """Remove a file that may not be there."""


def open_files(uri: str) -> TrialFiles:
    """Return the files at a folder's path, or at the URL of one in an object store."""
    return ObjectStoreFiles(uri) if "://" in uri else DiskFiles(Path(uri))
