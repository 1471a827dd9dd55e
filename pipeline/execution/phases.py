"""In which phase running trials are: told by their workers, read by the driver every few seconds.

Ray takes a worker's reply when an epoch ends. What a worker does within one lies meanwhile under a
key of Ray's head, which all nodes reach. It is a view: it may be late or missing, and decides
nothing.
"""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.execution import ray_private
from pipeline.execution.places import PlacesListener
from regmix.progress import Phase, Progress

_PERIOD = 1.0  # s between two looks of a worker at its own phase
_LOOK = 2.0  # s between two looks of the driver
_PREFIX = "phase/"  # of keys


class Watcher(PlacesListener, Protocol):
    """Receives where trials may run, and how far those have come that do."""

    def phases_changed(self, phases: Mapping[int, Phase]) -> None:
        """Take the phase of each running trial, as far as known; called every few seconds."""


class PhaseTeller:
    """Tells the phase of a worker's trial, in a thread of its own.

    The training notes its phase in a variable; the thread sends what is there once a second, if it
    is new. So a head that is slow or away never holds up a trial.
    """

    def __init__(self) -> None:
        """Start the thread."""
        self._now: tuple[int, Phase] | None = None  # a trial's number and its phase
        threading.Thread(target=self._tell, name="phases", daemon=True).start()

    def of(self, number: int) -> Progress:
        """Return what takes the phases of a trial."""

        def note(phase: Phase) -> None:
            self._now = number, phase

        return note

    def rest(self) -> None:
        """Tell of no trial: none runs."""
        self._now = None

    def _tell(self) -> None:
        told: tuple[int, Phase] | None = None
        while True:
            time.sleep(_PERIOD)
            now = self._now
            if now is not None and now != told:
                number, phase = told = now
                ray_private.put(_PREFIX + str(number), json.dumps(phase))


@dataclass
class Phases:
    """What the driver knows of them.

    clock: returns the time, s.
    """

    clock: Callable[[], float] = time.monotonic
    _looked: float = field(default=float("-inf"))

    def due(self) -> bool:
        """Tell whether it is time for another look; from now on it is not, for a while."""
        now = self.clock()
        if now < self._looked + _LOOK:
            return False
        self._looked = now
        return True

    def read(self, numbers: Collection[int]) -> dict[int, Phase]:
        """Return the phases of some trials, as far as their workers have told them."""
        keys = {_PREFIX + str(number): number for number in numbers}
        found = dict[int, Phase]()
        for key, value in ray_private.values(list(keys)).items():
            with contextlib.suppress(ValueError, TypeError):  # of a worker with other code
                found[keys[key]] = Phase(*json.loads(value))
        return found

    def forget(self, number: int) -> None:
        """Remove what is known of a trial that runs no more."""
        ray_private.remove(_PREFIX + str(number))

    def forget_all(self) -> None:
        """Remove what is known of all trials of this driver."""
        ray_private.remove(_PREFIX, all_below=True)
