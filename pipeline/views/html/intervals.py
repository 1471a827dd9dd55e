"""Values with their intervals, one below another, on one scale."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.views.html.markup import Markup, element
from pipeline.views.html.svg import Frame, around, dot, drawing, line, tick_text, words

_ROW = 24
_WIDTH = 420


@dataclass(frozen=True)
class Row:
    """A value with its interval.

    name: what it is of, at the left.
    said: the value as text, at the right.
    kind: class that colours it.
    """

    name: str
    value: float
    low: float
    high: float
    said: str
    kind: str = "candidate"


def intervals(
    rows: Sequence[Row],
    label: str,
    title: str,
    *,
    ends: tuple[float, float] | None = None,
    mark: float | None = None,
    text: Callable[[float], str] = tick_text,
    left: int = 96,
    right: int = 66,
) -> Markup:
    """Return rows of dots with whiskers.

    Args:
        rows: the rows, from the top.
        label: what the scale counts.
        title: what is shown, for those who hear it.
        ends: of the scale; None takes what fits.
        mark: value that is marked by a line, if any.
        text: how the scale's numbers are written.
        left, right: room for names and numbers.
    """
    reach = ends or around([end for row in rows for end in (row.low, row.high)])
    height = _ROW * len(rows) + 52
    frame = Frame.of(
        _WIDTH, height, reach, (0, len(rows)), left=left, right=right, top=8, bottom=40
    )
    parts = [frame.bottom_axis(label, text)]
    for tick in frame.x.ticks():
        at = frame.x.at(tick)
        parts.append(element("path", d=f"M{at} 6V{frame.y.start}", class_="grid"))
    if mark is not None:
        parts.append(element("path", d=f"M{frame.x.at(mark)} 6V{frame.y.start}", class_="mark"))
    for place, row in enumerate(rows):
        y = 8 + _ROW * place + _ROW / 2
        ends_at = (frame.x.at(row.low), y), (frame.x.at(row.high), y)
        parts.append(words(left - 10, y + 4, row.name, f"name end {row.kind}-text"))
        parts.append(line(ends_at, f"whisker {row.kind}-line"))
        parts.append(dot(frame.x.at(row.value), y, row.kind, f"{row.name}: {row.said}", 4.5))
        parts.append(words(_WIDTH - right + 10, y + 4, row.said, "number"))
    return drawing(_WIDTH, height, title, *parts)
