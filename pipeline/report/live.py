"""What a running search shows: a live table in a terminal, plain lines elsewhere."""

import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.report.formatting import duration, is_redrawn, trial_cells
from pipeline.study.budget import TimeBudget
from pipeline.study.effort import Trainings
from pipeline.study.ranking import violates
from pipeline.study.records import StudyRecord, TrialRecord

NO_ROOM = "no node of the cluster has room for a trial now: waiting for one"


class LiveView:
    """Follows the trials of a study, a `TrialListener`, and what room the cluster has for them."""

    def __init__(
        self,
        study: StudyRecord,
        names: tuple[str, ...],
        total: int | None,
        budget: TimeBudget,
        console: Console,
        trainings: Trainings | None = None,
    ) -> None:
        """Prepare; nothing is shown before the context is entered.

        Args:
            study: the study.
            names: names of the searched parameters.
            total: number of trials that the study shall have at most; None for no limit.
            budget: the time that the study may take.
            console: the console that it is shown on.
            trainings: the effort that the study may take; None for no limit.
        """
        self._study, self._names, self._total, self._budget = study, names, total, budget
        self._redrawn, self._lock = is_redrawn(console), threading.Lock()
        self._going: dict[int, TrialRecord] = {}  # those that have not ended, by number
        self._ended = set[int]()
        self._trainings = trainings
        self._epochs = dict[int, int]()  # that each trial has trained
        self._trained = self._trained_before = 0  # epochs of all trials; those of earlier sessions
        self._best: TrialRecord | None = None
        self._begun = time.monotonic()
        self._ended_here = 0
        self._room = ""  # what to say of the cluster
        self._live = Live(
            get_renderable=self.table,
            console=console,
            refresh_per_second=2,
            transient=True,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        for trial in self._study.trials():
            self._take(trial)
        self._trained_before = self._trained
        if self._redrawn:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._redrawn:
            self._live.stop()

    def trial_changed(self, trial: TrialRecord) -> None:
        """Take over a trial's new state."""
        with self._lock:
            self._take(trial)
            self._ended_here += trial.ended
        if trial.ended and not self._redrawn:
            print(self._line(trial), flush=True)

    def _take(self, trial: TrialRecord) -> None:
        """Count a trial; one that has ended does not change any more."""
        epochs = trial.last_epoch
        self._trained += epochs - self._epochs.get(trial.number, 0)
        self._epochs[trial.number] = epochs
        if not trial.ended:
            self._going[trial.number] = trial
            return
        self._going.pop(trial.number, None)
        self._ended.add(trial.number)
        if trial.state == "COMPLETE" and not violates(trial):
            known = self._best
            if known is None or trial.final.robust > known.final.robust:
                self._best = trial

    def places_changed(self, now: int) -> None:
        """Take over how many trials may run at once."""
        self._room = NO_ROOM if not now else ""
        if not self._redrawn:
            print(self._room or f"the cluster has room for {now} trials at once now", flush=True)

    def _line(self, trial: TrialRecord) -> str:
        last = trial.last_epoch
        value = "no epoch" if trial.value is None else f"robust {trial.value:.3f}"
        if trial.final_robust is not None:
            value = f"final_robust {trial.final_robust:.3f}"
        head = f"trial {trial.number:3d} {trial.state:8s} epoch {last:2d} {value}"
        return f"{head}  {self._headline()}{f'  ({trial.reason})' if trial.reason else ''}"

    def _headline(self) -> str:
        with self._lock:
            states = [trial.state for trial in self._going.values()]
            ended, best, trained = len(self._ended), self._best, self._trained
        shown = f"best {best.final_robust:.3f} (trial {best.number})" if best else "no best yet"
        total = "" if self._total is None else f" of {self._total}"
        words = [f"{ended}{total} trials ended", shown, self._time_left(ended, states, trained)]
        if self._trainings is not None:
            words.insert(1, self._trainings.in_words(trained))
        return ", ".join(words)

    def _time_left(self, ended: int, states: list[str], trained: int) -> str:
        left = self._budget.budget - self._budget.seconds
        if not self._ended_here:
            most = "" if left == float("inf") else f", at most {duration(max(0.0, left))}"
            return f"time left not known yet{most}"
        guesses, passed = [left], time.monotonic() - self._begun
        if self._total is not None:
            to_begin = max(0, self._total - ended - len(states))
            missing = to_begin + states.count("WAITING") + states.count("RUNNING") / 2
            guesses.append(passed / self._ended_here * missing)
        here = trained - self._trained_before
        if self._trainings is not None and here:
            guesses.append(passed / here * (self._trainings.most - trained))
        if min(guesses) == float("inf"):
            return "time left not known yet"
        return f"about {duration(max(0.0, min(guesses)))} left"

    def table(self) -> Group:
        """Return the headline and a row for each running trial."""
        table = Table(box=None, pad_edge=False)
        for name in ("trial", "epoch", "robust", "clean", *self._names):
            table.add_column(name, justify="right")
        with self._lock:
            trials = list(self._going.values())
        for trial in trials:
            if trial.state == "RUNNING":
                table.add_row(*trial_cells(trial, self._names))
        title = f"{self._study.name}: {self._headline()}"
        spent = f", {duration(self._budget.seconds)} spent"
        head = Text(title + spent, style="bold")
        return Group(head, Text(self._room), table) if self._room else Group(head, table)
