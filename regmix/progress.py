"""How far something long has come, told to whoever shows it: what is told changes no result."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, Protocol


class Phase(NamedTuple):
    """What is under way.

    It is cheap to make, since a training makes one for each batch.
    """

    name: str  # a word for it, such as 'training', or for what is counted, such as 'images'
    now: int = 0  # number of the part that is under way, from 1; of images those that are done
    of: int = 0  # number of parts; 0 where there are none
    part: str = ""  # what the part is called, such as 'APGD-T'; '' where its number says it
    share: float = 0.0  # of the part that is done, in [0, 1]

    def in_words(self) -> str:
        """Return 'training 7/12, 45 %', 'judging 2 of 3: APGD-T', or 'saving'."""
        if self.part:
            return f"{self.name} {self.now} of {self.of}: {self.part}"
        if not self.of:
            return self.name
        share = f", {100 * self.share:.0f} %" if self.share else ""
        return f"{self.name} {self.now:,}/{self.of:,}{share}"


class Progress(Protocol):
    """Hears of phases. It returns at once, and raises nothing."""

    def __call__(self, phase: Phase) -> None:
        """Take note of what is under way now."""


def unheard(phase: Phase) -> None:
    """Stand for a `Progress` where nobody wants to know."""


_HEARD_BY: ContextVar[Progress] = ContextVar("heard_by", default=unheard)


@contextmanager
def heard_by(progress: Progress) -> Iterator[None]:
    """Let `tell` reach `progress` meanwhile, in this thread.

    For data sets alone, whose functions take nothing but their part, a plug-in's too. All others
    are given a `Progress` as an argument.
    """
    token = _HEARD_BY.set(progress)
    try:
        yield
    finally:
        _HEARD_BY.reset(token)


def tell(phase: Phase) -> None:
    """Tell who listens around this call, see `heard_by`."""
    _HEARD_BY.get()(phase)
