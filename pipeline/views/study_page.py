"""One study that runs elsewhere or is over: all of it at once, or what changes of it."""

import time
from collections.abc import Iterator

from rich.text import Text

from pipeline.views import leaderboard, race_table
from pipeline.views.formatting import named
from pipeline.views.layout import lines, page_width, plus_minus
from pipeline.views.redrawn import RedrawnView, console
from pipeline.views.study_list import age, megabytes
from pipeline.views.summary import RUNNING, Summary, TrialSummary


def page(summary: Summary, changed: float, size: int, width: int, sign: str = "±") -> list[str]:
    """Return all that a study says, what runs now last, as lines of at most `width` columns.

    Args:
        summary: the study.
        changed: when it last changed, in seconds since 1970.
        size: its bytes.
        width: columns.
        sign: as of `leaderboard.page`.
    """
    since = age(time.time() - changed)
    used = f"{summary.progress:.0%} of what it was asked for is used" if summary.extent else ""
    facts = f"changed {since} ago", megabytes(size), used
    found = leaderboard.page(summary, width, sign)
    if summary.race is not None:
        found += ["", *race_table.page(summary, width)]
    found += ["", *lines(f"({', '.join(filter(None, facts))})", width, 1)]
    return found + now(summary, width, sign)


def now(summary: Summary, width: int, sign: str = "±") -> list[str]:
    """Return the trials that run, with their last epochs that are known; [] for none."""
    rows = [trial for trial in summary.trials if trial.state == "RUNNING"]
    if not rows:
        return []
    word = (
        "runs now" if summary.state == RUNNING else "was left running; its search goes on with it"
    )
    board = leaderboard.table(summary, rows, sign, states=True)
    return ["", *lines(f"{word}:", width), *board.lines(width)]


class Following(RedrawnView):
    """Shows a study as it changes: redrawn in a terminal, a line for each change elsewhere."""

    def __init__(self) -> None:
        """Prepare; nothing is shown before the first `show`."""
        super().__init__(console())
        self._known: dict[str, str] | None = None  # what was told, by what it is of
        self._said = ""  # the last headline

    def show(self, summary: Summary) -> None:
        """Show what is new of it."""
        if self.redrawn:
            self.update(Text("\n".join(_screen(summary, page_width()))))
            return
        told = dict(_told(summary))
        if self._known is None:
            self._say(summary)
            self._known = told
        for key, line in told.items():
            if self._known.get(key) != line:
                print(line, flush=True)
        self._known = told

    def end(self, summary: Summary) -> None:
        """Say what the study says in the end, where that was not said."""
        if self._said != summary.headline:
            self._say(summary)

    def _say(self, summary: Summary) -> None:
        self._said = summary.headline
        said = f"{summary.study}: {summary.headline}"
        print("\n".join(lines(said, page_width())) if self.redrawn else said, flush=True)


def _screen(summary: Summary, width: int) -> list[str]:
    """Return what a terminal shows while a study runs."""
    sign = plus_minus()
    head = lines(f"{summary.study}: {summary.headline}", width)
    used = f", {summary.progress:.0%} of what it was asked for is used" if summary.extent else ""
    rows = [trial for trial in summary.trials if trial.state == "COMPLETE"][:5]
    board = leaderboard.table(summary, rows, sign).lines(width) if rows else []
    found = [*head, *lines(f"{summary.trainings:.1f} trainings{used}", width), *board]
    if summary.race is not None:
        found += ["", *race_table.page(summary, width)]
    return found + now(summary, width, sign)


def _told(summary: Summary) -> Iterator[tuple[str, str]]:
    """Yield what a line is told of, and the line, in the order of the trials."""
    for trial in sorted(summary.trials, key=lambda one: one.trial):
        yield f"trial {trial.trial}", _line(trial, summary)
    race = summary.race
    for one in race.finalists if race is not None else ():
        plural = "s" * (one.seeds > 1)
        gone = f", dropped out: {one.gone}" if one.gone else ""
        told = f"race: trial {one.trial}: {one.mean:.3f} over {one.seeds} seed{plural}{gone}"
        yield f"race {one.trial}", told


def _line(trial: TrialSummary, summary: Summary) -> str:
    """Return a line of a trial that changes with its state, and not with each epoch."""
    head = f"trial {trial.trial:3d} {trial.state:8s}"
    if trial.state in ("RUNNING", "WAITING"):
        return f"{head} {named(trial.params, summary.searched)}".rstrip()
    value = "no epoch" if trial.robust is None else f"robust {trial.robust:.3f}"
    if trial.final_robust is not None:
        value = f"final_robust {trial.final_robust:.3f}"
    reason = f" ({trial.reason})" if trial.reason else ""
    return f"{head} epoch {trial.epoch}/{trial.epochs} {value}{reason}"
