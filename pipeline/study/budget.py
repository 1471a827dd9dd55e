"""How long a study has taken, and what still fits into its budget."""

import time
from dataclasses import dataclass, field

OVERRUN = 0.03
"""A trial that will be complete within this share beyond the budget may go on to its end."""


@dataclass
class TimeBudget:
    """Seconds of the whole study, over all its sessions.

    budget: seconds that the study may take; infinite where there is no limit.
    before: seconds of earlier sessions.
    begun: `time.monotonic()` at the start of this one.
    trained: seconds that workers spent in epochs, in this session.
    epochs: number of epochs of this session.
    first_epoch: `time.monotonic()` of the first epoch of this session; 0 before.
    """

    budget: float = float("inf")
    before: float = 0.0
    begun: float = field(default_factory=time.monotonic)
    trained: float = 0.0
    epochs: int = 0
    first_epoch: float = 0.0

    @property
    def seconds(self) -> float:
        """Seconds that the study has taken so far."""
        return self.before + time.monotonic() - self.begun

    @property
    def seconds_per_epoch(self) -> float:
        """Mean seconds of an epoch in this session; 0 while none is known."""
        return self.trained / self.epochs if self.epochs else 0.0

    @property
    def has_time(self) -> bool:
        """Whether a trial that begins now can report an epoch."""
        return self.seconds + self.seconds_per_epoch < self.budget

    @property
    def exhausted(self) -> bool:
        """Whether even a trial that is nearly complete must end now."""
        return self.seconds >= self.budget * (1 + OVERRUN)

    def record_epoch(self, seconds: float) -> None:
        """Count an epoch that took so many seconds."""
        self.first_epoch = self.first_epoch or time.monotonic()
        self.trained += seconds
        self.epochs += 1

    def allows(self, epochs: int) -> bool:
        """Tell whether a running trial may go on for so many more epochs."""
        if self.seconds < self.budget:
            return True
        return self.seconds + epochs * self.seconds_per_epoch < self.budget * (1 + OVERRUN)
