"""The studies of a folder as a list: what each asks, how far it is, and what it has found."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.study.records import EmptyStudyError
from pipeline.study.storage import holder
from pipeline.study.studies import OpenStudy, Studies
from pipeline.views.layout import Column, Table, lines
from pipeline.views.summary import EMPTY, INTERRUPTED, RUNNING, Summary, summarize
from regmix.errors import InputError, cut

UNREADABLE = "unreadable"
_REST = 38  # columns of the list beside the names
_NAMED = 4  # parameters that a question names


@dataclass(frozen=True)
class Entry:
    """A study as a list shows it.

    state: of `pipeline.views.summary`, or UNREADABLE.
    problem: why it can't be read; "" where it can.
    changed: when it last changed, in seconds since 1970.
    size: bytes of its folder and of its race's.
    """

    name: str
    state: str
    summary: Summary | None
    problem: str
    changed: float
    size: int

    @property
    def question(self) -> str:
        """What is searched, in a line; "" where nobody knows yet."""
        if self.summary is None:
            return self.problem
        names = list(self.summary.searched)
        more = len(names) - _NAMED
        asked = ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        return f"{self.summary.space} on {self.summary.recipe}: {asked or 'nothing is searched'}"

    @property
    def best(self) -> tuple[float, float | None] | None:
        """The best's robust accuracy and its gain over the start, of the race where it raced."""
        summary = self.summary
        if summary is None:
            return None
        if summary.race is not None:
            one = summary.race.winner
            return one.mean, None if one.gain is None else one.gain.value
        best = summary.best
        if best is None or best.final_robust is None:
            return None
        return best.final_robust, best.over_default.value if best.over_default else None

    def document(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        summary, best = self.summary, self.best
        return {
            "study": self.name,
            "state": self.state,
            "headline": summary.headline if summary else self.problem or self.state,
            "space": summary.space if summary else None,
            "recipe": summary.recipe if summary else None,
            "searched": list(summary.searched) if summary else None,
            "counts": dict(summary.counts) if summary else None,
            "best": best[0] if best else None,
            "gain": best[1] if best else None,
            "changed": stamp(self.changed),
            "bytes": self.size,
        }


def entries(studies: Studies) -> list[Entry]:
    """Return all studies, the one that changed last first."""
    found = [_entry(studies, name) for name in studies.names()]
    return sorted(found, key=lambda entry: (-entry.changed, entry.name))


def _entry(studies: Studies, name: str) -> Entry:
    state, summary, problem, place = EMPTY, None, "", studies.place(name)
    try:
        opened = studies.open(name)
        summary, changed = summary_of(opened), opened.changed
        raced = summary.race is not None and summary.race.state == INTERRUPTED
        state = INTERRUPTED if raced else summary.state
    except InputError as error:
        there = [path for path in (place / "journal.log", place) if path.exists()]
        changed = there[0].stat().st_mtime if there else 0.0
        if holder(place):
            state = RUNNING
        elif not isinstance(error, EmptyStudyError):
            state, problem = UNREADABLE, str(error).removeprefix(f"--study {name}: ")
    return Entry(name, state, summary, problem, changed, studies.size(name))


def summary_of(opened: OpenStudy) -> Summary:
    """Return what a study says now, and whether a driver runs it."""
    return summarize(opened.study, opened.race, running=opened.running)


def table(found: Sequence[Entry], now: float, letters: int) -> Table:
    """Return a row for each study.

    Args:
        found: the studies.
        now: the time, in seconds since 1970.
        letters: most letters of a name; a longer one is cut in its middle.
    """
    cells: Mapping[str, list[str]] = {
        "study": [cut(one.name, letters) for one in found],
        "state": [one.state for one in found],
        "trials": [_trials(one) for one in found],
        "best": [f"{one.best[0]:.3f}" if one.best else "-" for one in found],
        "gain": [_gain(one) for one in found],
        "age": [age(now - one.changed) if one.changed else "-" for one in found],
        "size": [megabytes(one.size) for one in found],
    }
    left, spare = ("study", "state"), {"size": 1, "gain": 2}
    columns = [
        Column(name, some, spare=spare.get(name, 0), right=name not in left)
        for name, some in cells.items()
    ]
    return Table(columns, remarks=[one.question for one in found], said="question")


def _trials(entry: Entry) -> str:
    """Return how many trials are complete, of those that were begun."""
    if entry.summary is None:
        return "-"
    return f"{entry.summary.counts['COMPLETE']}/{len(entry.summary.trials)}"


def _gain(entry: Entry) -> str:
    return "-" if entry.best is None or entry.best[1] is None else f"{entry.best[1]:+.3f}"


def page(found: Sequence[Entry], where: str, width: int) -> list[str]:
    """Return the list as lines of at most `width` columns.

    Args:
        found: the studies.
        where: folder or storage that they lie in.
        width: columns.
    """
    if not found:
        return lines(f"no study in {where} yet: make search", width)
    board = table(found, time.time(), max(20, min(40, width - _REST))).lines(width)
    said = "trials: complete of begun; gain: over the start, of the race where there was one"
    return [*board, *lines(f"({said})", width, 1)]


def age(seconds: float) -> str:
    """Return how long ago in one unit: '40 s', '12 min', '5 h' or '3 d'."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{max(0, round(seconds / unit))} {name}"
    return f"{round(seconds / 86400)} d"


def megabytes(size: int) -> str:
    """Return a size in a unit that has few digits."""
    for limit, unit, name in ((10**6, 10**3, "kB"), (10**9, 10**6, "MB")):
        if size < limit:
            return f"{size / unit:.{0 if size >= 10 * unit else 1}f} {name}"
    return f"{size / 10**9:.1f} GB"


def stamp(seconds: float) -> str:
    """Return a time as JSON holds it, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
