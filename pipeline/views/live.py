"""What a running search shows: a live table in a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Self

from rich.console import Console
from rich.text import Text

from pipeline.study.budget import Pace, TimeBudget
from pipeline.study.effort import Trainings
from pipeline.study.records import StudyRecord, TrialRecord
from pipeline.views.live_table import Size, lines, phase_in_words
from pipeline.views.redrawn import RedrawnView
from pipeline.views.running import RunningSearch
from regmix.progress import Phase

NO_ROOM = "no node of the cluster has room for a trial now: waiting for one"
_MINUTE, _SOON = 60.0, 4.0  # s between two heartbeats, and in the minute before the first epoch
_SHOWN = 8  # running trials that a heartbeat names


class LiveView(RedrawnView):
    """Follows the trials of a study, a `TrialListener`, and what room the cluster has for them."""

    def __init__(
        self,
        study: StudyRecord,
        names: tuple[str, ...],
        total: int | None,
        budget: TimeBudget,
        console: Console,
        trainings: Trainings | None = None,
        at_once: int = 1,
        *,
        expected: Pace | None = None,
        quiet: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is shown before the context is entered.

        Args:
            study: the study.
            names: names of the searched parameters.
            total: number of trials that the study shall have at most; None for no limit.
            budget: the time that the study may take.
            console: the console that it is shown on.
            trainings: the effort that the study may take; None for no limit.
            at_once: number of trials that run at once.
            expected: pace of its trials, until one of them is complete; None where nobody knows.
            quiet: whether nothing is shown.
            clock: what tells the time, s.
        """
        super().__init__(console, self.table, quiet=quiet)
        self._names, self._quiet, self._clock = names, quiet, clock
        self._search = RunningSearch(study, total, budget, trainings, at_once, expected, clock)
        self._lock = threading.Lock()
        self._beat = self._begun = clock()
        self._paced = False  # whether one has ended here
        self._warned = False  # that the budget is too short
        self._room = ""  # what to say of the cluster

    def __enter__(self) -> Self:
        self._search.begin()
        self._beat = self._begun = self._clock()
        return super().__enter__()

    def trial_changed(self, trial: TrialRecord) -> None:
        """Take over a trial's new state."""
        with self._lock:
            self._search.take(trial)
            warning = "" if self._warned else self._search.too_short()
            first = not self._paced and self._search.trained_here > 0
            self._paced = self._paced or first
        if trial.ended and not self.redrawn:
            self._say(self._line(trial))
        elif first and not self.redrawn:
            self._beat = self._clock()
            self._say(self._heartbeat())  # from now on there is a forecast
        if warning:
            self._warned = True
            self._say(warning)

    def places_changed(self, now: int) -> None:
        """Take over how many trials may run at once."""
        self._room = NO_ROOM if not now else ""
        self._search.at_once = now
        if not self.redrawn:
            self._say(self._room or f"the cluster has room for {now} trials at once now")

    def phases_changed(self, phases: Mapping[int, Phase]) -> None:
        """Take over how far running trials are; where nothing is redrawn, say so each minute.

        While workers load what they need, a line every few seconds says that something goes on.
        """
        with self._lock:
            self._search.phases = phases
        now = self._clock()
        begins = not self._paced and now < self._begun + _MINUTE
        if not self.redrawn and now >= self._beat + (_SOON if begins else _MINUTE):
            self._beat = now
            self._say(self._heartbeat())

    def _say(self, words: str) -> None:
        if self.redrawn:
            self.console.print(words)
        elif not self._quiet:
            print(words, flush=True)

    def _line(self, trial: TrialRecord) -> str:
        last = trial.last_epoch
        value = "no epoch" if trial.value is None else f"robust {trial.value:.3f}"
        if trial.final_robust is not None:
            value = f"final_robust {trial.final_robust:.3f}"
        head = f"{self._search.unit} {trial.number:3d} {trial.state:8s} epoch {last:2d} {value}"
        if "finalist" in trial.params:
            head += f", finalist {trial.params['finalist']}, seed {trial.params['seed']}"
        reason = f"  ({trial.reason})" if trial.reason else ""
        return f"{head}  {self._headline(short=True)}{reason}"

    def _headline(self, *, short: bool = False) -> str:
        """Return counts, the best and the time left, for one line."""
        with self._lock:
            search = self._search
            best = search.best_in_short() if short else search.best_in_words()
            return ", ".join([*search.counts_in_words()[:-1], best, search.left_in_words()])

    def _heartbeat(self) -> str:
        """Return what runs, in which phase, the best, and the time left, in one line."""
        with self._lock:
            search, running = self._search, self._search.running
            phases = [
                f"{search.unit} {t.number} {phase_in_words(search, t)}" for t in running[:_SHOWN]
            ]
            more = [f"{len(running) - _SHOWN} more"] if len(running) > _SHOWN else []
            spent = search.counts_in_words()[-1]
        what = "; ".join(phases + more) or "nothing runs"
        return f"{spent}: {what}; {self._headline()}"

    def table(self) -> Text:
        """Return what is known, a row for each running trial, and who ended last."""
        size = self.console.size
        with self._lock:
            found = lines(self._search, self._names, Size(size.width, size.height - 1), self._room)
        text = Text("\n".join(found), no_wrap=True, overflow="crop")
        text.stylize("bold", 0, len(found[0]))
        return text
