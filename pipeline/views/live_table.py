"""A running search as lines of a terminal: what does not fit is left out, the least first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.study.records import TrialRecord
from pipeline.views import layout
from pipeline.views.formatting import duration, short
from pipeline.views.running import RunningSearch
from regmix.errors import cut

_GAP = "  "
_LAST_TO_GO = ("phase", "left", "robust")  # columns that every width has, beside the number
_FIRST_TO_GO = ("clean", "speed")  # once no parameter is left
_LATELY = 4  # ended trials that are shown, if there is room
_LINES = 3  # of each, at most
_STATES = {"COMPLETE": "complete", "PRUNED": "stopped", "FAIL": "failed"}


@dataclass(frozen=True)
class Size:
    """Columns and rows that there are."""

    width: int
    height: int


def lines(search: RunningSearch, names: Sequence[str], size: Size, notice: str = "") -> list[str]:
    """Return the lines, none longer than the width, without blanks at their ends.

    Args:
        search: the search.
        names: names of the searched parameters.
        size: what there is room for.
        notice: what else there is to say, such as that no node has room.
    """
    head = [f"{search.study.name}: {', '.join(search.counts_in_words())}"]
    head[0] += f", {search.left_in_words()}"
    head.append(search.best_in_words())
    head += [words for words in (notice, search.too_short()) if words]
    top = [line for words in head for line in layout.lines(words, size.width, strict=True)]
    room = size.height - len(top)
    ended = _ended(search, size.width, room // 2)
    running = _running(search, names, size.width, max(2, room - len(ended) - 1))
    return [*top, *running, *ended][: max(1, size.height)]


def _running(search: RunningSearch, names: Sequence[str], width: int, height: int) -> list[str]:
    """Return a heading and a row for each running trial; the last says how many have none."""
    trials = search.running
    if not trials:
        return []
    most = max(1, height - 2)
    shown = trials if len(trials) <= most else trials[: most - 1]
    rows = [_cells(search, trial, names) for trial in shown]
    columns = _fitting(rows, (search.unit, *_LAST_TO_GO), names, width)
    widths = {c: max(len(c), *(len(row[c]) for row in rows)) for c in columns}
    found = [_row({c: c for c in columns}, widths)] + [_row(row, widths) for row in rows]
    if len(shown) < len(trials):
        found.append(f"and {len(trials) - len(shown)} more that run")
    return ["", *found]


def _cells(search: RunningSearch, trial: TrialRecord, names: Sequence[str]) -> dict[str, str]:
    """Return column -> text of a running trial."""
    left = search.trial_left(trial) if trial.begun else None
    speed = "-" if not trial.last_epoch else f"{trial.latest.seconds:.3g} s/epoch"
    return {
        search.unit: str(trial.number),
        "phase": phase_in_words(search, trial),
        "left": "-" if left is None else duration(left),
        "robust": _share(trial.value),
        "clean": _share(trial.clean),
        "speed": speed,
        **{name: cut(short(trial.params.get(name, "-")), 16) for name in names},
    }


def phase_in_words(search: RunningSearch, trial: TrialRecord) -> str:
    """Return in which phase a running trial is: what its worker said, else its epochs."""
    phase = search.phases.get(trial.number)
    if phase is not None:
        return phase.in_words()
    if not trial.last_epoch:
        return "begins"
    return f"epoch {trial.last_epoch}/{trial.total_epochs}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _fitting(
    rows: Sequence[Mapping[str, str]], always: Sequence[str], names: Sequence[str], width: int
) -> list[str]:
    """Return the columns that fit: parameters go first, the last of them before the others."""
    columns = [*always, *_FIRST_TO_GO, *names]
    while len(columns) > len(always):
        needed = sum(max(len(c), *(len(row[c]) for row in rows)) for c in columns)
        if needed + len(_GAP) * (len(columns) - 1) <= width:
            break
        columns.pop()
    return columns


def _row(cells: Mapping[str, str], widths: Mapping[str, int]) -> str:
    """Return a row: words to the left, numbers to the right."""
    texts = (
        cells[c].ljust(size) if c == "phase" else cells[c].rjust(size) for c, size in widths.items()
    )
    return _GAP.join(texts).rstrip()


def _ended(search: RunningSearch, width: int, height: int) -> list[str]:
    """Return the trials that ended last, the latest first, each with its reason."""
    found: list[str] = []
    for trial in list(reversed(search.lately))[:_LATELY]:
        more = layout.lines(ended_in_words(search, trial), width, most=_LINES, strict=True)
        if len(found) + len(more) > height - 1:
            break
        found += more
    return ["", *found] if found else []


def ended_in_words(search: RunningSearch, trial: TrialRecord) -> str:
    """Return 'trial 7 stopped at 3/12, 0.301: rank 9 of 12 at epoch 3'."""
    whole = trial.total_epochs if trial.begun else "?"
    value = trial.value if trial.final_robust is None else trial.final_robust
    words = f"{search.unit} {trial.number} {_STATES[trial.state]} at {trial.last_epoch}/{whole}"
    words += "" if value is None else f", {value:.3f}"
    return f"{words}: {trial.reason}" if trial.reason else words
