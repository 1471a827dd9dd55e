"""How far a comparison of methods is, and how long it still takes."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pipeline.views.formatting import duration

SEARCHES, RACES, JUDGEMENTS = "searches", "races", "judgements"
"""What is done for each method, one after another."""


@dataclass
class Course:
    """The steps of a comparison: each kind of them for every method, before the next kind begins.

    methods: number of methods.
    kinds: kinds of its steps, in order.
    clock: what tells the time, s.
    """

    methods: int
    kinds: tuple[str, ...]
    clock: Callable[[], float] = time.monotonic
    _took: dict[str, list[float]] = field(default_factory=dict)

    def plan(self) -> str:
        """Return what is going to be done."""
        steps = ", then ".join(f"{self.methods} {kind}" for kind in self.kinds)
        return f"comparison of {self.methods} methods: {steps}, one after another"

    @contextlib.contextmanager
    def step(self, kind: str, what: str) -> Iterator[str]:
        """Time a step; its context gives the line that it begins with.

        Args:
            kind: its kind.
            what: what it does.
        """
        number = 1 + sum(map(len, self._took.values()))
        begun = self.clock()
        yield f"{number} of {self.methods * len(self.kinds)}: {what}{self._left()}"
        self._took.setdefault(kind, []).append(self.clock() - begun)

    def _left(self) -> str:
        """Return '; about 3:10 left without the races', '' while nothing is known.

        A step that an earlier command did takes no time, so the longest of a kind counts.
        """
        missing = {kind: self.methods - len(self._took.get(kind, ())) for kind in self.kinds}
        known = {kind: max(times) for kind, times in self._took.items()}
        seconds = sum(missing[kind] * each for kind, each in known.items())
        if not seconds:
            return ""
        unknown = [kind for kind in self.kinds if kind not in known]
        without = f" without the {' and '.join(unknown)}" if unknown else ""
        return f"; about {duration(seconds)} left{without}"
