"""How long a study has taken, and what still fits into its budget."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

from regmix.training.metrics import EpochMetrics

OVERRUN = 0.03
"""A trial that will be complete within this share beyond the budget may go on to its end."""


@dataclass
class Pace:
    """How long epochs take; the last of a trial holds its final evaluation too.

    epochs, seconds: number of the others, and what they took together.
    ends, end_seconds: the same of the last ones.
    """

    epochs: int = 0
    seconds: float = 0.0
    ends: int = 0
    end_seconds: float = 0.0

    @classmethod
    def of(cls, known: Iterable[EpochMetrics]) -> Self:
        """Return the pace of epochs that were stored."""
        pace = cls()
        for metrics in known:
            pace.count(metrics)
        return pace

    def count(self, metrics: EpochMetrics) -> None:
        """Count an epoch."""
        if metrics.final is None:
            self.epochs += 1
            self.seconds += metrics.seconds
        else:
            self.ends += 1
            self.end_seconds += metrics.seconds

    def needed(self, epochs: int) -> float:
        """Return the mean seconds of a trial's last so many epochs; 0 while none is known."""
        end = self.end_seconds / self.ends if self.ends else None
        each = self.seconds / self.epochs if self.epochs else end or 0.0
        return (epochs - 1) * each + (each if end is None else end)


@dataclass
class TimeBudget:
    """Seconds of the whole study, over all its sessions.

    budget: seconds that the study may take; infinite where there is no limit.
    before: seconds of earlier sessions.
    begun: `time.monotonic()` at the start of this one.
    earlier: pace of earlier sessions, until this one has its own.
    trained: seconds that workers spent in epochs, in this session.
    first_epoch: `time.monotonic()` of the first epoch of this session; 0 before.
    """

    budget: float = float("inf")
    before: float = 0.0
    begun: float = field(default_factory=time.monotonic)
    earlier: Pace = field(default_factory=Pace)
    trained: float = 0.0
    first_epoch: float = 0.0
    _own: Pace = field(default_factory=Pace)

    @property
    def seconds(self) -> float:
        """Seconds that the study has taken so far."""
        return self.before + time.monotonic() - self.begun

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self.budget < float("inf")

    @property
    def exhausted(self) -> bool:
        """Whether even a trial that is nearly complete must end now."""
        return self.seconds >= self.budget * (1 + OVERRUN)

    def record_epoch(self, metrics: EpochMetrics) -> None:
        """Count an epoch."""
        self.first_epoch = self.first_epoch or time.monotonic()
        self.trained += metrics.seconds
        self._own.count(metrics)

    def needed(self, epochs: int) -> float:
        """Return the seconds that a trial will need for its last so many epochs; 0 if unknown."""
        return self._own.needed(epochs) or self.earlier.needed(epochs)

    def fits(self, epochs: int) -> bool:
        """Tell whether a trial that begins or goes on now can end by the budget.

        Args:
            epochs: number of its epochs that are left.
        """
        return self.seconds + self.needed(epochs) < self.budget

    def allows(self, epochs: int) -> bool:
        """Tell whether a running trial may go on for so many more epochs."""
        if self.seconds < self.budget:
            return True
        return self.seconds + self.needed(epochs) < self.budget * (1 + OVERRUN)
