"""What a running search shows: a live table in a terminal, plain lines elsewhere."""

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from pipeline.study.controller import StudyController


def duration(seconds: float) -> str:
    """Return '0:41', '12:05' or '3:02:10'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Progress:
    """Follows the trials of a bridge; give `changed` to it."""

    def __init__(self, bridge: "StudyController", console: Console) -> None:
        """Prepare; nothing is shown before the context is entered."""
        self._bridge, self._console = bridge, console
        self._lock = threading.Lock()
        self._trials: dict[int, FrozenTrial] = {}
        self._begun = time.monotonic()
        self._ended_here = 0
        self.first_epoch: float | None = None  # time.monotonic() of the first report
        self._live = Live(
            get_renderable=self.table,
            console=console,
            refresh_per_second=2,
            transient=True,
            redirect_stderr=False,
        )

    def __enter__(self) -> Self:
        for trial in self._bridge.study.get_trials(deepcopy=False):
            self._trials[trial.number] = trial
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def changed(self, trial: "FrozenTrial") -> None:
        """Take over a trial's new state."""
        with self._lock:
            self._trials[trial.number] = trial
            if self.first_epoch is None and trial.last_step:
                self.first_epoch = time.monotonic()
            self._ended_here += trial.state.is_finished()
        if trial.state.is_finished() and not self._console.is_terminal:
            print(self._line(trial), flush=True)

    def _line(self, trial: "FrozenTrial") -> str:
        last = trial.last_step
        value = f"robust {trial.intermediate_values[last]:.3f}" if last else "no epoch"
        if trial.state.name == "COMPLETE":
            value = f"judged {trial.value:.3f}"
        reason = trial.user_attrs.get("reason")
        head = f"trial {trial.number:3d} {trial.state.name:8s} epoch {last or 0:2d} {value}"
        return f"{head}  {self._headline()}{f'  ({reason})' if reason else ''}"

    def _headline(self) -> str:
        with self._lock:
            trials = list(self._trials.values())
        ended = [t for t in trials if t.state.is_finished()]
        complete = [t for t in ended if t.state.name == "COMPLETE"]
        best = max(complete, key=lambda t: t.value or 0.0, default=None)
        shown = f"best {best.value:.3f} (trial {best.number})" if best else "no best yet"
        left = self._time_left()
        total = "" if self._bridge.trials >= 10**6 else f" of {self._bridge.trials}"
        return f"{len(ended)}{total} trials ended, {shown}, {left}"

    def _time_left(self) -> str:
        spent = time.monotonic() - self._begun
        budget = self._bridge.clock.budget - self._bridge.clock.seconds
        if not self._ended_here:
            return "time left not known yet" if budget == float("inf") else "within the budget"
        waiting = sum(t.state.name == "WAITING" for t in self._trials.values())
        missing = max(0, self._bridge.trials - len(self._trials)) + waiting
        running = sum(t.state.name == "RUNNING" for t in self._trials.values())
        guess = spent / self._ended_here * (missing + running / 2)
        return f"about {duration(max(0.0, min(guess, budget)))} left"

    def table(self) -> Group:
        """Return the headline and a row for each running trial."""
        names = tuple(self._bridge.question.space.ranges)
        table = Table(box=None, pad_edge=False)
        for name in ("trial", "epoch", "robust", "clean", *names):
            table.add_column(name, justify="right")
        with self._lock:
            trials = list(self._trials.values())
        for trial in trials:
            if trial.state.name == "RUNNING":
                table.add_row(*cells(trial, names))
        title = f"{self._bridge.study.study_name}: {self._headline()}"
        spent = f", {duration(self._bridge.clock.seconds)} spent"
        return Group(Text(title + spent, style="bold"), table)


def cells(trial: "FrozenTrial", names: tuple[str, ...]) -> list[str]:
    """Return number, epoch, robust and clean accuracy, and the parameters `names` as text."""
    last = trial.last_step
    total = trial.user_attrs.get("config", {}).get("epochs", "?")
    robust = clean = "-"
    if last:
        robust = f"{trial.intermediate_values[last]:.3f}"
        clean = f"{trial.user_attrs[f'epoch_{last}']['valid_clean']:.3f}"
    params = [short(trial.params.get(name, "-")) for name in names]
    return [str(trial.number), f"{last or 0}/{total}", robust, clean, *params]


def short(value: object) -> str:
    """Return a number in three significant digits, anything else as it is."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def console() -> Console:
    """Return a console on standard output, wide enough for its tables where it is no terminal."""
    return Console(width=None if sys.stdout.isatty() else 140, highlight=False)
