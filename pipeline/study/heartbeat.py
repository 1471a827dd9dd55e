"""Several drivers on one study in a database: who lives, and whose trials are to be taken over.

Optuna's storage keeps a heartbeat for each running trial, but beats only within its own loop; with
ask and tell the beating is done here. A journal file has no heartbeats: it has one driver.
"""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from optuna.trial import TrialState

if TYPE_CHECKING:
    from optuna.study import Study

GRACE = 3
"""So many beats may be missing before a driver is taken for dead."""


@dataclass
class Heartbeat:
    """Beats for the trials of this driver, in a thread of its own.

    study: in a database opened with an interval.
    seconds: that interval.
    mine: returns the numbers of the trials that this driver runs.
    """

    study: "Study"
    seconds: float
    mine: Callable[[], Collection[int]] = tuple
    _seen: dict[int, float] = field(default_factory=dict)
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

    def beat(self, number: int) -> None:
        """Say that a trial's driver lives."""
        trial = self.study.get_trials(deepcopy=False)[number]
        self.study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]

    def stale(self) -> list[int]:
        """Return the numbers of RUNNING trials whose driver is dead.

        A driver that died before its first beat is told by a trial that stays without a
        configuration for as long as it is watched from here.
        """
        silent = set(self.study._storage._get_stale_trial_ids(self.study._study_id))  # type: ignore[attr-defined]
        now, found = time.monotonic(), []
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.number in self.mine():
                continue
            blank = "config" not in trial.user_attrs
            since = self._seen.setdefault(trial.number, now)
            if trial._trial_id in silent or (blank and now - since > GRACE * self.seconds):
                found.append(trial.number)
                self._seen.pop(trial.number)
        return found

    def _work(self) -> None:
        while not self._stop.wait(self.seconds):
            for number in tuple(self.mine()):
                try:
                    self.beat(number)
                except Exception:  # the database is away: the next beat may reach it
                    break
