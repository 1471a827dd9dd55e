"""In which order results reach the study: as they arrive, or as on a machine without chance."""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.study.controller import StudyController
from pipeline.study.events import EpochResult, TrialOutcome, TrialRequest
from pipeline.study.records import TrialRecord

Event = EpochResult | TrialOutcome  # an outcome that comes from the worker is a failure
Ended = list[tuple[int, TrialOutcome]]  # number and outcome of each trial that an event ended


class ResultOrder(Protocol):
    """The order in which results of the workers reach the study."""

    def suggest(self) -> TrialRequest | None:
        """Return the next trial for a free worker, None where there is none now."""

    def take(self, number: int, event: Event) -> Ended:
        """Take what a worker returned; return which trials end now, this one or others."""

    def forget(self, number: int) -> None:
        """Drop what has not yet reached the study, since the trial begins again from there."""


def settle(controller: StudyController, number: int, event: Event) -> TrialOutcome | None:
    """Give an event to the study, and close the trial if it ends with it."""
    outcome = event if isinstance(event, TrialOutcome) else controller.report(number, event)
    if outcome is not None:
        controller.tell(number, outcome)
    return outcome


@dataclass
class Arrival:
    """Results count as they arrive."""

    controller: StudyController

    def suggest(self) -> TrialRequest | None:
        """Ask the study."""
        return self.controller.ask()

    def take(self, number: int, event: Event) -> Ended:
        """Give it to the study."""
        outcome = settle(self.controller, number, event)
        return [] if outcome is None else [(number, outcome)]

    def forget(self, number: int) -> None:
        """Do nothing: all has reached the study."""


@dataclass
class Lockstep:
    """The study of a machine with `workers` workers on which every epoch takes the same time.

    Results are kept back until they are due on that machine, so the study does not depend on how
    many workers there really are, how fast they are, or how often the search was killed. A worker
    runs ahead meanwhile; epochs beyond an outcome that it could not know are thrown away.

    controller: the study.
    workers: number of trials under way at once; more real workers than this stay idle.
    """

    controller: StudyController
    workers: int
    _now: int = 0  # time of the last event that the study was given
    _clock: dict[int, int] = field(default_factory=dict)  # under way -> time of its last event
    _ready: deque[TrialRequest] = field(default_factory=deque)
    _held: dict[int, deque[Event]] = field(default_factory=lambda: defaultdict(deque))

    def __post_init__(self) -> None:
        begun = [trial for trial in self.controller.record.trials() if trial.begun]
        self._now, self._clock = replay(begun)

    def suggest(self) -> TrialRequest | None:
        """Return the next trial that is under way on the imagined machine."""
        self._fill()
        return self._ready.popleft() if self._ready else None

    def take(self, number: int, event: Event) -> Ended:
        """Hold an event, and give the study all that are due."""
        ended: Ended = []
        self._held[number].append(event)
        self._fill()
        while self._clock:
            time, due = min((time + 1, number) for number, time in self._clock.items())
            if not self._held[due]:
                break
            self._clock[due] = self._now = time
            outcome = settle(self.controller, due, self._held[due].popleft())
            if outcome is not None:
                del self._clock[due], self._held[due]
                ended.append((due, outcome))
                self._fill()
        return ended

    def forget(self, number: int) -> None:
        """Drop what is held: the worker brings it again, from its checkpoint or trained anew."""
        self._held.pop(number, None)

    def _fill(self) -> None:
        """Ask for what is to be continued, and for a trial in each free place.

        A new trial begins now, though its place may have stood empty: there was no room for it.
        """
        while len(self._clock) < self.workers or self.controller.is_waiting(self._clock):
            request = self.controller.ask()
            if request is None:
                return
            if request.number not in self._clock:
                self._clock[request.number] = self._now
                self.controller.note_start(request.number, self._now)
            self._ready.append(request)


def replay(begun: Sequence[TrialRecord]) -> tuple[int, dict[int, int]]:
    """Return where the imagined machine stands.

    Args:
        begun: all trials that were ever begun.

    Returns:
        The time of the last event, and that of the last event of each trial under way.
    """
    clock, now = dict[int, int](), 0
    for trial in begun:
        if trial.start is None:  # a kill came before that was stored: it begins anew
            continue
        failed = trial.state == "FAIL"  # a failure comes in place of the next epoch
        time = trial.start + trial.last_epoch + failed
        now = max(now, time)
        if not (trial.ended or trial.tried_by_hand):  # that one comes anew, in the next free place
            clock[trial.number] = time
    return now, clock
