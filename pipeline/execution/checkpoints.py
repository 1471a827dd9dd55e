"""When a trial's checkpoints are written, and the thread that writes them beside the training."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from pipeline.trial_files import CHECKPOINT, TrialFiles
from regmix.training import checkpoint


class CheckpointWriter:
    """Writes the checkpoints of one trial, one at a time.

    A checkpoint is due where the next epoch would leave more than `seconds` of finished epochs
    without one. Its state is copied while the trial stands still; the copy is written in a thread
    while the next epoch trains, and `finish` waits for it: before an epoch is told, and before the
    trial ends. So nobody removes files that a thread still writes.
    """

    def __init__(
        self,
        files: TrialFiles,
        number: int,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin where nothing is lost by a kill.

        Args:
            files: files of the study's trials.
            number: the trial's number.
            seconds: finished work that a kill may take, at most; with 0 every epoch is due.
            clock: what tells the time, seconds.
        """
        self._files, self._number, self._seconds, self._clock = files, number, seconds, clock
        self._saved, self._longest = clock(), 0.0
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[None] | None = None

    def due(self, epoch: float) -> bool:
        """Tell whether to write now.

        Args:
            epoch: length of the epoch that has ended, seconds; the next ones are taken to be as
                long as the longest.
        """
        self._longest = max(self._longest, epoch)
        return self._clock() - self._saved + self._longest > self._seconds

    def begin(self, state: dict[str, Any]) -> None:
        """Copy a state, and write it in the thread; see `finish` for its errors."""
        self.finish()
        self._saved = self._clock()
        self._pending = self._thread.submit(self._write, checkpoint.copied(state))

    def finish(self) -> None:
        """Wait until what was begun is written.

        Raises:
            OSError: where the disk, or the store, refused.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """Write nothing more; errors as of `finish`."""
        try:
            self.finish()
        finally:
            self._thread.shutdown()

    def _write(self, state: dict[str, Any]) -> None:
        self._files.write(self._number, CHECKPOINT, lambda stream: checkpoint.dump(state, stream))
