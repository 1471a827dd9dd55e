"""How many trials may run at once: what the cluster has room for now, looked at again and again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from pipeline.execution.gpu_share import MeasuredShare, TrialResources
from pipeline.execution.room import Demand, Node, cores_of_each, nodes, room, total

_PERIOD = 2.0  # s between two looks: a look asks Ray's head


class PlacesListener(Protocol):
    """Receives every change of the number of trials that may run at once."""

    def places_changed(self, now: int) -> None:
        """Take the new number; 0 where no trial can run."""


@dataclass
class Places:
    """The places of a cluster in which a trial may run, over the time of a session.

    share: what each trial gets, where that is not measured; it stays as it was at the start.
    limit: most trials at once; None takes what there is.
    begun: `time.monotonic()` from which on the places are counted.
    demand: how the cluster is asked for places up to the limit; None where it never is.
    measured: what measures the share of a GPU of each trial; None where it was given.
    look: returns what each node of the cluster has now.
    clock: returns the time, s.
    now: number of places; never more than the limit.
    """

    share: TrialResources
    limit: int | None
    begun: float = field(default_factory=time.monotonic)
    demand: Demand | None = None
    measured: MeasuredShare | None = None
    look: Callable[[], Sequence[Node]] = nodes
    clock: Callable[[], float] = time.monotonic
    now: int = field(init=False)
    _least: int = field(init=False)
    _most: int = field(init=False)
    _since: float = field(init=False)
    _counted: float = 0.0  # seconds of all places up to `_since`
    _looked: float | None = None
    _cluster: Sequence[Node] = ()

    def __post_init__(self) -> None:
        self._since, self.now = self.begun, self.given.concurrency
        self._least = self._most = self.now

    @property
    def given(self) -> TrialResources:
        """What a trial that begins now gets, and how many of them are to run at once."""
        if self.measured is None:
            return self.share
        given = self.measured.resources
        if not self._cluster:
            return given
        return replace(given, cpus=cores_of_each(self._cluster, given.concurrency, given.gpus))

    def refresh(self, wanted: Callable[[], int]) -> bool:
        """Look at the cluster, at most every few seconds; return whether the number has changed.

        Args:
            wanted: returns for how many trials there is work now, at most; asked at a look.
        """
        first, due = self._looked is None, self._due()
        if due:
            self._look()
        given = self.given
        fit = room(self._cluster, given.cpus, given.gpus)
        most = self.limit if self.measured is None else given.concurrency
        if due and self.demand is not None and self.limit is not None:
            missing = max(0, min(self.limit, wanted()) - fit)
            self.demand.set(missing, given.cpus, given.gpus)
        return self._take(fit if most is None else min(fit, most)) or (first and not fit)

    def _due(self) -> bool:
        return self._looked is None or self.clock() >= self._looked + _PERIOD

    def _look(self) -> None:
        self._looked, self._cluster = self.clock(), self.look()
        cards = int(total(self._cluster, "GPU"))
        if self.measured is not None and cards:  # without any there is no room, and nothing to say
            self.measured.cores, self.measured.cards = int(total(self._cluster, "CPU")), cards

    def _take(self, now: int) -> bool:
        if now == self.now:
            return False
        time_now = self.clock()
        self._counted += self.now * (time_now - self._since)
        self._since = time_now
        self.now, self._least, self._most = now, min(self._least, now), max(self._most, now)
        return True

    def doubt(self) -> None:
        """Look at the next question: a worker died, and perhaps its node."""
        self._looked = None

    @property
    def seconds(self) -> float:
        """Seconds of all places together since `begun`."""
        return self._counted + self.now * (self.clock() - self._since)

    @property
    def in_words(self) -> str:
        """The number of places over the session, such as '2' or '1 to 3'."""
        if self._least == self._most:
            return str(self._most)
        return f"{self._least} to {self._most}"
