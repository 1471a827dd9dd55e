"""In which order results reach the study: as they arrive, or as on a machine without chance."""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from optuna.trial import FrozenTrial, TrialState

from pipeline.study.contracts import TrialRequest
from pipeline.study.controller import StudyController
from pipeline.study.records import TrialOutcome
from regmix.training.metrics import EpochMetrics


@dataclass(frozen=True)
class Epoch:
    """What a worker returned for an epoch."""

    metrics: EpochMetrics
    machine: dict[str, Any]


Event = Epoch | TrialOutcome  # an ending that comes from the worker is a failure


class Order(Protocol):
    """Between the workers and the study."""

    def suggest(self) -> TrialRequest | None:
        """Return the next trial for a free worker, None where there is none now."""

    def take(self, number: int, event: Event) -> None:
        """Take what a worker returned; it reaches the study now or later."""

    def forget(self, number: int) -> None:
        """Drop what has not yet reached the study, since the trial begins again from there."""


def settle(bridge: StudyController, number: int, event: Event) -> TrialOutcome | None:
    """Give an event to the study, and close the trial if it ends with it."""
    if isinstance(event, TrialOutcome):
        ending: TrialOutcome | None = event
    else:
        ending = bridge.report(number, event.metrics, event.machine)
    if ending is not None:
        bridge.tell(number, ending)
    return ending


@dataclass
class Arrival:
    """Every result counts when it comes: nothing waits.

    ended: called with a trial's number and ending.
    """

    bridge: StudyController
    ended: Callable[[int, TrialOutcome], None]

    def suggest(self) -> TrialRequest | None:
        """Ask the study."""
        return self.bridge.ask()

    def take(self, number: int, event: Event) -> None:
        """Give it to the study."""
        ending = settle(self.bridge, number, event)
        if ending is not None:
            self.ended(number, ending)

    def forget(self, number: int) -> None:
        """Do nothing: all has reached the study."""


@dataclass
class Lockstep:
    """The study of a machine with `width` workers on which every epoch takes the same time.

    Results are kept back until they are due on that machine, so the study does not depend on how
    many workers there really are, how fast they are, or how often the search was killed. A worker
    runs ahead meanwhile; epochs beyond an ending that it could not know are thrown away.

    width: trials under way at once; more real workers than this stay idle.
    ended: called with a trial's number and ending.
    """

    bridge: StudyController
    width: int
    ended: Callable[[int, TrialOutcome], None]
    _clock: dict[int, int] = field(default_factory=dict)  # under way -> time of its last event
    _free: list[int] = field(default_factory=list)  # a heap: since when a place is free
    _ready: deque[TrialRequest] = field(default_factory=deque)
    _held: dict[int, deque[Event]] = field(default_factory=lambda: defaultdict(deque))

    def __post_init__(self) -> None:
        begun = [t for t in self.bridge.study.get_trials(deepcopy=False) if _begun(t)]
        self._clock, self._free = replay(begun, self.width)

    def suggest(self) -> TrialRequest | None:
        """Return the next trial that is under way on the imagined machine."""
        self._fill()
        return self._ready.popleft() if self._ready else None

    def take(self, number: int, event: Event) -> None:
        """Hold an event, and give the study all that are due."""
        self._held[number].append(event)
        self._fill()
        while self._clock:
            time, due = min((time + 1, number) for number, time in self._clock.items())
            if not self._held[due]:
                return
            self._clock[due] = time
            ending = settle(self.bridge, due, self._held[due].popleft())
            if ending is not None:
                del self._clock[due], self._held[due]
                heapq.heappush(self._free, time)
                self.ended(due, ending)
                self._fill()

    def forget(self, number: int) -> None:
        """Drop what is held: the worker's checkpoint brings it again."""
        self._held.pop(number, None)

    def _fill(self) -> None:
        """Ask for what is to be continued, and for a trial in each free place."""
        while self._free or self.bridge.waiting(self._clock):
            request = self.bridge.ask()
            if request is None:
                return
            if request.number not in self._clock:
                self._clock[request.number] = heapq.heappop(self._free)
            self._ready.append(request)


def _begun(trial: FrozenTrial) -> bool:
    return trial.state != TrialState.WAITING or "config" in trial.user_attrs


def replay(begun: Sequence[FrozenTrial], width: int) -> tuple[dict[int, int], list[int]]:
    """Return where the imagined machine stands.

    Args:
        begun: all trials that were ever begun, by number.
        width: how many were under way at once.

    Returns:
        The time of the last event of each trial that has not ended, and the heap of the times
        since when the other places are free.
    """
    clock, free = dict[int, int](), [0] * width
    ends: list[tuple[int, int]] = []
    for trial in begun:
        if not free:
            heapq.heappush(free, heapq.heappop(ends)[0])
        start, epochs = heapq.heappop(free), trial.last_step or 0
        if trial.state.is_finished():  # a failure comes in place of the next epoch
            length = epochs + (trial.state == TrialState.FAIL)
            heapq.heappush(ends, (start + length, trial.number))
        else:
            clock[trial.number] = start + epochs
    for end, _ in ends:
        heapq.heappush(free, end)
    return clock, free
