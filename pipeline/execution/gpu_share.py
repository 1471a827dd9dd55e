"""How many trials share a GPU where nobody said: measured while the search goes."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from pipeline.study.events import CardMemory, EpochResult

AUTO = "auto"
"""What is typed for a share that is measured."""
_FREE = 0.1  # share of a card's memory that stays free
_GAIN = 1.05  # by which twice as many trials must bring more epochs an hour, else fewer stay
_EPOCHS = 2  # of each trial at once, before a number of trials counts as measured


@dataclass(frozen=True)
class TrialResources:
    """What one trial gets, and how many run at once.

    concurrency: number of trials at once; 0 where room is still to come.
    cpus: cores of a trial.
    gpus: share of a GPU of a trial; 0 without.
    """

    concurrency: int
    cpus: float
    gpus: float

    @property
    def threads(self) -> int:
        """Number of threads that a trial computes with."""
        return int(self.cpus) if self.gpus else 1


def next_share(seconds: Mapping[int, Sequence[float]], most: int, cards: int = 1) -> int:
    """Return how many trials shall share a card: doubled as long as that pays.

    Args:
        seconds: number of trials on a card -> seconds of the epochs that were measured so.
        most: number that its memory, or anything else, allows.
        cards: number of cards.
    """
    here = 1
    while here < most:
        if len(seconds.get(here, ())) < _EPOCHS * here * cards:
            return here  # not measured yet
        more = min(2 * here, most)
        known = seconds.get(more, ())
        if len(known) >= _EPOCHS * more * cards and _rate(more, known) < _GAIN * _rate(
            here, seconds[here]
        ):
            return here
        here = more
    return most


def _rate(count: int, seconds: Sequence[float]) -> float:
    """Return epochs in an hour of one card."""
    return 3600 * count / median(seconds)


def most_by_memory(needed: int, card: int) -> int:
    """Return how many trials that need so many bytes fit on a card; at least 1."""
    return max(1, int(card * (1 - _FREE)) // max(1, needed))


@dataclass
class MeasuredShare:
    """The share of each trial that begins now, from what those before it took.

    Each card has one trial at first, whose memory says how many would fit. An epoch is counted
    where as many trials as shall share the cards trained from its beginning to its end.

    cores, cards: what Ray has; they may change while the search goes.
    at_most: number of trials at once that the user allows; None for any.
    """

    cores: int
    cards: int
    at_most: int | None = None
    _seconds: dict[int, list[float]] = field(default_factory=dict)
    _needed: int = 0  # bytes of a trial, the most of all; 0 while none is known
    _context: int = 0  # bytes that a process takes of a card beside its tensors
    _card: int = 0  # bytes of a card
    _unread: bool = False  # whether the card says nothing of its memory, as a pretended one
    _cap: int | None = None  # number of trials on a card, more of which ran out of its memory
    _training: set[int] = field(default_factory=set)  # numbers of the trials
    _since: float = 0.0  # `time.monotonic()` of the last change of them

    @property
    def per_card(self) -> int:
        """Number of trials that shall share a card now."""
        return next_share(self._seconds, self._most, self.cards)

    @property
    def _most(self) -> int:
        if not (self._needed or self._unread):
            return 1
        allowed = min(self.largest // self.cards, self._cap or self.largest)
        if self._needed:
            allowed = min(allowed, most_by_memory(self._needed, self._card))
        return max(1, allowed)

    @property
    def resources(self) -> TrialResources:
        """What a trial that begins now gets."""
        count = self.per_card
        at_once = min(count * self.cards, self.largest)
        share = math.floor(10_000 / count) / 10_000  # Ray counts in these
        # the same cores for all trials of a study: their number is told with each result
        return TrialResources(at_once, cpus=max(1, self.cores // self.largest), gpus=share)

    @property
    def largest(self) -> int:
        """Number of trials that may ever run at once."""
        return min(self.cores, self.at_most or self.cores)

    def report(self, number: int, result: EpochResult) -> None:
        """Take the epoch of a trial."""
        count, now = self.per_card, time.monotonic()
        if result.memory is None:
            self._unread = True
        else:
            self._learn(result.memory)
        if number not in self._training:
            self._training.add(number)
            self._since = now
            return  # its first epoch also warms up
        steady = len(self._training) == count * self.cards
        last = result.metrics.final is not None
        if steady and not last and result.metrics.seconds <= now - self._since:
            self._seconds.setdefault(count, []).append(result.metrics.seconds)

    def leave(self, number: int) -> None:
        """Take note that a trial trains no more."""
        self._training.discard(number)
        self._since = time.monotonic()

    def ran_out(self, number: int) -> None:
        """Take note that memory ran out under a trial: half as many shall share its card."""
        self._cap = max(1, self.per_card // 2)
        self.leave(number)

    def _learn(self, memory: CardMemory) -> None:
        if not self._card:  # it is alone on its card
            self._context, self._card = memory.others, memory.card
        self._needed = max(self._needed, memory.peak + self._context)

    def in_words(self) -> str:
        """Return what was chosen, and by which figures."""
        rates = [
            f"{_rate(count, known):.0f} with {count}"
            for count, known in sorted(self._seconds.items())
        ]
        measured = f"; epochs an hour on a card: {', '.join(rates)}" if rates else ""
        fit = f"at most {self._most} by memory and cores" if self._needed else "memory not measured"
        return f"trials on a GPU at once: {self.per_card} ({fit}{measured})"
