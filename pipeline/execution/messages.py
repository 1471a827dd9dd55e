"""What the driver asks of a worker, and what a worker replies.

Ray carries these objects between processes of this project alone; it never reads them from a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.study.events import EpochResult
from regmix.ranges import Value


@dataclass(frozen=True)
class WorkerRequest:
    """A trial to begin or to continue.

    number: the trial's number in the study.
    config: flat configuration of the run.
    resume_epoch: the last epoch that the study knows; 0 for a new trial.
    files_uri: place of the trials' files, see `pipeline.trial_files.open_files`.
    threads: number of threads to compute with.
    cpus, gpus: cores and share of a GPU that Ray gives its process.
    checkpoint_seconds: finished work that a kill may take from the trial, at most.
    """

    number: int
    config: Mapping[str, Value]
    resume_epoch: int
    files_uri: str
    threads: int
    checkpoint_seconds: float
    cpus: float = 1
    gpus: float = 0

    @property
    def epochs(self) -> int:
        """Number of epochs of the whole run."""
        epochs = self.config["epochs"]
        assert isinstance(epochs, int), "a configuration has its number of epochs"
        return epochs


@dataclass(frozen=True)
class TrialFailure:
    """Why a trial can't go on.

    kind: diverged, out of memory or bug; whether it is tried again depends on it.
    reason: reason in one line.
    traceback: traceback of a bug; '' for the others.
    """

    kind: Literal["diverged", "out of memory", "bug"]
    reason: str
    traceback: str = ""


@dataclass(frozen=True)
class DiskFailure:
    """A disk or an object store that refuses, which is no trial's fault.

    errno: number of the system's error.
    filename: the file that was to be written; '' where that is not known.
    """

    errno: int
    filename: str


@dataclass(frozen=True)
class OtherCode:
    """A worker that would run other code than the driver, and therefore trains nothing.

    host: its machine.
    folder: folder that its code lies in.
    digest: digest of its code.
    """

    host: str
    folder: str
    digest: str


Reply = EpochResult | TrialFailure | DiskFailure | OtherCode
