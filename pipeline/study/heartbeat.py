"""Several drivers on one study in a database: who lives, and whose trials are to be taken over.

Optuna's storage keeps a heartbeat for each running trial, but beats only within its own loop; with
ask and tell the beating is done here. A journal file has no heartbeats: it has one driver.
"""

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from pipeline.study import optuna_private
from pipeline.study.followed_storage import index_of
from pipeline.study.records import TrialRecord

MISSED_BEATS = 3
"""Number of beats that may be missing before a driver is taken for dead."""


@dataclass
class Heartbeat:
    """Beats for the trials of this driver, in a thread of its own.

    study: a study in a database that was opened with an interval.
    seconds: the interval between two beats.
    """

    study: Study
    seconds: float
    _own: dict[int, FrozenTrial] = field(default_factory=dict)  # trials of this driver
    _first_seen: dict[int, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._work, name="heartbeat", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def own(self) -> frozenset[int]:
        """Numbers of the trials that this driver runs."""
        with self._lock:
            return frozenset(self._own)

    def adopt(self, number: int) -> None:
        """Beat for a trial, now and from now on."""
        self.beat(number)
        with self._lock:
            self._own[number] = index_of(self.study).trials[number]

    def drop(self, number: int) -> None:
        """Beat for a trial no longer."""
        with self._lock:
            self._own.pop(number, None)

    def beat(self, number: int) -> None:
        """Say that a trial's driver lives."""
        optuna_private.beat(self.study, index_of(self.study).trials[number])

    def stale(self) -> list[int]:
        """Return the numbers of RUNNING trials whose driver is dead.

        A driver that died before its first beat is recognised by a trial that stays without a
        configuration while it is watched from here.
        """
        silent, own = optuna_private.silent(self.study), self.own
        now, found = time.monotonic(), []
        index = index_of(self.study)
        for number in index.numbers(TrialState.RUNNING):
            if number in own:
                continue
            since, begun = (
                self._first_seen.setdefault(number, now),
                TrialRecord(index.trials[number]).begun,
            )
            blank = not begun and now - since > MISSED_BEATS * self.seconds
            if number in silent or blank:
                found.append(number)
                self._first_seen.pop(number)
        return found

    def _work(self) -> None:
        while not self._stop.wait(self.seconds):
            with self._lock:
                own = list(self._own.values())
            for trial in own:
                try:
                    optuna_private.beat(self.study, trial)
                except Exception:  # the database is away: the next beat may reach it
                    break
