"""Text at a width: sentences that are broken at words, and tables that fit.

No line ends in blanks and no word is broken, so that what is printed can be searched and copied. A
line is longer than the width only where a single word is, and nothing is drawn again over it.
"""

import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from regmix.errors import cut
from regmix.ranges import Value

ELSEWHERE = 100
"""Columns where the output is no terminal and $COLUMNS says nothing."""
NARROWEST = 60
"""Columns, below which a terminal breaks lines, which says more than a cut table."""
_BESIDE = 30  # columns that remarks need to stand beside their row, unless they are shorter
_JOINED = "\u00a0"  # a blank that no line is broken at, within "95 %"
_LONGEST = 12  # letters of a word that is the value of a parameter, where there is little room


def page_width() -> int:
    """Return how many columns a line may have: those of $COLUMNS or the terminal, at least 60."""
    usual = (0, 0) if sys.stdout.isatty() else (ELSEWHERE, 0)
    return max(NARROWEST, shutil.get_terminal_size(usual).columns)


def plus_minus() -> str:
    """Return '±', or '+-' where standard output has no such letter."""
    try:
        "±".encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return "+-"
    return "±"


def lines(
    text: str, width: int, hanging: int = 2, *, most: int | None = None, strict: bool = False
) -> list[str]:
    """Return text as lines; each of its own lines is a paragraph with its own indentation.

    Args:
        text: paragraphs; one that begins with blanks keeps them before each of its lines.
        width: columns.
        hanging: blanks before the second line of a paragraph that begins without any.
        most: lines of a paragraph at most; '...' stands for what is left out. None for no limit.
        strict: whether words that are longer than the width are broken, so that no line is.
    """
    found = list[str]()
    for paragraph in text.split("\n"):
        own = paragraph[: len(paragraph) - len(paragraph.lstrip())]
        found += textwrap.wrap(
            paragraph.strip().replace(" %", f"{_JOINED}%"),
            width,
            initial_indent=own,
            subsequent_indent=own or " " * hanging,
            break_long_words=strict,
            break_on_hyphens=False,
            max_lines=most,
            placeholder=" ...",
        ) or [""]
    return [line.replace(_JOINED, " ") for line in found]


def say(text: str = "", hanging: int = 0) -> None:
    """Print text at the width of the page, at once; arguments as of `lines`."""
    print("\n".join(lines(text, page_width(), hanging)), flush=True)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    name, short: its heading, and the one where there is little room.
    cells: a text for each row.
    spare: when it is left out where there is too little room: 0 for never, else the highest first.
    right: whether cells end below each other, as numbers do.
    """

    name: str
    cells: Sequence[str]
    short: str = ""
    spare: int = 0
    right: bool = True

    @property
    def width(self) -> int:
        """Columns that it takes."""
        return max(map(len, (self.name, *self.cells)))

    def line(self, place: int) -> str:
        """Return heading (-1) or cell, in the width of the column."""
        text = self.name if place < 0 else self.cells[place]
        return text.rjust(self.width) if self.right else text.ljust(self.width)


@dataclass(frozen=True)
class Table:
    """Rows of measured values, of parameters, and of remarks.

    Where all has no room, parameters get two digits, then short names; then remarks stand beneath
    their rows; then the gaps are narrow, spare columns go, and at last parameters, from the end.

    columns: what is always shown, or until there is too little room.
    params: parameter -> value for each row.
    remarks: for each row a sentence, '' for none.
    said: heading of the remarks.
    after: place of the parameters among the columns.
    elsewhere: where the parameters are that have no room.
    """

    columns: Sequence[Column]
    params: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    remarks: Sequence[str] = ()
    said: str = "why"
    after: int | None = None
    elsewhere: str = "--json"

    def lines(self, width: int) -> list[str]:
        """Return heading, rows and what the short names mean, at a width in columns."""
        plan = next((plan for plan in self._plans() if plan.fits(width)), None)
        assert plan is not None, "the last plan fits"
        return plan.lines(width)

    def _plans(self) -> "Iterator[_Plan]":
        """Yield ways to lay it out, the roomiest first; the last one always fits."""
        said = any(self.remarks)
        digits = [(3, False), (2, False), (2, True)] if self.params else [(3, False)]
        for beside in (True, False) if said else (False,):
            for places, short in digits:
                yield _Plan(self, self.columns, places, short, len(self.params), beside=beside)
        columns = [replace(one, name=one.short or one.name) for one in self.columns]
        spare = sorted({one.spare for one in columns if one.spare}, reverse=True)
        fewer = [columns]
        for level in spare:
            fewer.append([one for one in fewer[-1] if one.spare != level])
        for some in fewer:
            for gap in (2, 1):
                yield _Plan(self, some, 2, True, len(self.params), gap=gap)
        for count in range(len(self.params) - 1, -1, -1):
            yield _Plan(self, fewer[-1], 2, True, count, gap=1)
        yield _Plan(self, fewer[-1], 2, True, 0, gap=1, anyhow=True)


@dataclass(frozen=True)
class _Plan:
    """A way to lay out a table.

    columns: of the table, those that are shown.
    places: significant digits of parameters.
    short: whether their names are.
    count: how many of them are shown.
    beside: whether remarks stand beside their rows.
    gap: blanks between columns.
    anyhow: whether it is taken though it has no room.
    """

    table: Table
    columns: Sequence[Column]
    places: int
    short: bool
    count: int
    beside: bool = False
    gap: int = 2
    anyhow: bool = False

    def fits(self, width: int) -> bool:
        """Tell whether it has room."""
        longest = max(map(len, (self.table.said, *self.table.remarks)))
        used = self._used() + (self.gap + min(_BESIDE, longest) if self.beside else 0)
        return used <= width or self.anyhow

    def _used(self) -> int:
        every = self._every()
        return sum(one.width for one in every) + self.gap * (len(every) - 1)

    def _every(self) -> list[Column]:
        """Return all columns in their order, but for the remarks."""
        named = self._names()
        params = [
            Column(named[name], [self._value(value) for value in self.table.params[name]])
            for name in named
        ]
        place = len(self.columns) if self.table.after is None else self.table.after
        place = min(place, len(self.columns))
        return [*self.columns[:place], *params, *self.columns[place:]]

    def _names(self) -> dict[str, str]:
        """Return the heading of each parameter that is shown."""
        names = list(self.table.params)[: self.count]
        if not self.short:
            return {name: name for name in names}
        return dict(zip(names, abbreviated(names), strict=True))

    def _value(self, value: Value) -> str:
        if isinstance(value, float):
            return f"{value:.{self.places}g}"
        return cut(str(value), _LONGEST if self.places < 3 else 40)

    def lines(self, width: int) -> list[str]:
        """Return all lines of the table at a width."""
        every, found = self._every(), list[str]()
        count = len(every[0].cells)
        for place in range(-1, count):
            line = (" " * self.gap).join(one.line(place) for one in every)
            remark = self.table.remarks[place] if place >= 0 and self.table.remarks else ""
            if self.beside:
                found += self._with_remark(line, self.table.said if place < 0 else remark, width)
                continue
            found.append(line.rstrip())
            if remark:
                found += lines(f"{' ' * (every[0].width + self.gap)}{remark}", width)
        return found + self._meanings(width)

    def _with_remark(self, line: str, remark: str, width: int) -> list[str]:
        """Return a row with a remark beside it, as many lines as that needs."""
        first = len(line) + self.gap
        said = lines(remark, width - first, 0)
        begun = f"{line}{' ' * self.gap}{said[0]}".rstrip()
        return [begun, *(f"{' ' * first}{rest}" for rest in said[1:])]

    def _meanings(self, width: int) -> list[str]:
        """Say what short names mean, and which parameters are left out."""
        named, found = self._names(), list[str]()
        short = [f"{heading} {name}" for name, heading in named.items() if heading != name]
        if short:
            found += lines(f"({', '.join(short)})", width, 1)
        left = list(self.table.params)[self.count :]
        if left:
            some = "1 parameter has" if len(left) == 1 else f"{len(left)} parameters have"
            where = f"see {self.table.elsewhere}"
            found += lines(f"({some} no room here: {', '.join(left)}; {where})", width, 1)
        return found


def abbreviated(names: Sequence[str]) -> list[str]:
    """Return short names: the initials of several words, the first five letters of one.

    Where two would be alike, both keep their own.
    """
    found = [
        "".join(word[:1] for word in name.split("_")) if "_" in name.strip("_") else name[:5]
        for name in names
    ]
    return [
        name if found.count(short) > 1 else short for name, short in zip(names, found, strict=True)
    ]
