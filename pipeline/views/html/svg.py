"""What all figures are drawn with: scales, ticks that people read easily, axes and marks."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.views.html.markup import Markup, element

_STEPS = (1, 2, 2.5, 5, 10)
_RAMP = ((0, 42, 92), (66, 78, 107), (124, 123, 120), (187, 172, 104), (253, 219, 69))
"""Cividis (Nuñez et al., 2018), thinned: even in lightness, the same to colour-blind eyes."""


@dataclass(frozen=True)
class Scale:
    """Numbers on a line of pixels.

    low, high: numbers at its ends; equal ones lie in the middle.
    start, end: pixels of these ends; on an axis that points upwards `end` is the smaller one.
    log: whether equal factors are equally far apart; both ends are above 0 then.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a number, to a tenth; what lies outside is put at the nearer end."""
        low, high, value = (self._scaled(one) for one in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return round(self.start + min(max(share, 0.0), 1.0) * (self.end - self.start), 1)

    def _scaled(self, value: float) -> float:
        return math.log(max(value, 1e-300)) if self.log else value

    def ticks(self, count: int = 5) -> list[float]:
        """Return about so many round numbers within the scale."""
        if self.high <= self.low:
            return [self.low]
        return _log_ticks(self.low, self.high, count) if self.log else self._even(count)

    def _even(self, count: int) -> list[float]:
        step = nice_step((self.high - self.low) / max(count, 1))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(place * step, 12) for place in range(first, last + 1)]


def nice_step(raw: float) -> float:
    """Return the smallest of 1, 2, 2.5, 5 times a power of ten that is at least `raw`."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(step * power for step in _STEPS if step * power >= raw * (1 - 1e-9))


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    """Return powers of ten, with 2 and 5 between them, or 3, where that leaves few enough."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for heads in ((1, 2, 5), (1, 3), (1,)):
        found = [head * 10.0**power for power in range(first, last + 1) for head in heads]
        inside = [tick for tick in found if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]
        if len(inside) <= count + 1:
            break
    apart = max(1, -(-len(inside) // (count + 1)))
    return inside[::apart] or [low, high]


def around(values: Sequence[float], room: float = 0.06) -> tuple[float, float]:
    """Return ends of a scale with some room around values; (0, 1) around none."""
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    edge = (high - low) * room or 0.01
    return low - edge, high + edge


def apart(places: Sequence[float], least: float, last: float) -> list[float]:
    """Return ascending places moved so that they lie `least` apart, and none beyond `last`."""
    found: list[float] = []
    for place in places:
        found.append(max(place, found[-1] + least) if found else place)
    for at in range(len(found) - 1, -1, -1):
        found[at] = min(found[at], last)
        last = found[at] - least
    return found


def tick_text(value: float) -> str:
    """Return a number as an axis shows it."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.6g}"
    head, _, power = f"{value:.2g}".partition("e")
    if not power:
        head, _, power = f"{value:.1e}".partition("e")
    return f"{float(head):g}e{int(power)}"


def shade(share: float) -> str:
    """Return the colour of a share in [0, 1], from dark blue to yellow."""
    place = min(max(share, 0.0), 1.0) * (len(_RAMP) - 1)
    low = min(int(place), len(_RAMP) - 2)
    mixed = (
        round(a + (b - a) * (place - low)) for a, b in zip(_RAMP[low], _RAMP[low + 1], strict=True)
    )
    return "#{:02x}{:02x}{:02x}".format(*mixed)


@dataclass(frozen=True)
class Frame:
    """The rectangle that a figure is drawn in, with its two scales.

    width, height: of the whole figure.
    """

    width: int
    height: int
    x: Scale
    y: Scale

    @classmethod
    def of(
        cls,
        width: int,
        height: int,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        log: bool = False,
        left: int = 46,
        right: int = 12,
        top: int = 14,
        bottom: int = 38,
    ) -> "Frame":
        """Return a frame with room for axes; `log` is that of x."""
        across = Scale(*x, left, width - right, log)
        return cls(width, height, across, Scale(*y, height - bottom, top))

    def bottom_axis(
        self, label: str, text: Callable[[float], str] = tick_text, count: int = 5
    ) -> Markup:
        """Return ticks with their numbers, and what they count."""
        base = self.y.start
        parts = []
        for tick in self.x.ticks(count):
            at = self.x.at(tick)
            parts.append(element("path", d=f"M{at} {base}v4", class_="tick"))
            parts.append(words(at, base + 16, text(tick), "number middle"))
        middle = (self.x.start + self.x.end) / 2
        parts.append(element("path", d=f"M{self.x.start} {base}H{self.x.end}", class_="axis"))
        parts.append(words(middle, base + 33, label, "label middle"))
        return Markup.joined(*parts)

    def left_axis(
        self, label: str, text: Callable[[float], str] = tick_text, count: int = 5
    ) -> Markup:
        """Return numbers beside faint lines across the figure, and what they count above them."""
        parts = []
        for tick in self.y.ticks(count):
            at = self.y.at(tick)
            parts.append(element("path", d=f"M{self.x.start} {at}H{self.x.end}", class_="grid"))
            parts.append(words(self.x.start - 6, at + 4, text(tick), "number end"))
        parts.append(words(2, 9, label, "label"))
        return Markup.joined(*parts)


def words(x: float, y: float, text: str, kind: str) -> Markup:
    """Return text at a place; `kind` are classes of the style: middle, end, label and so on."""
    return element("text", text, x=round(x, 1), y=round(y, 1), class_=kind)


def dot(x: float, y: float, kind: str, title: str, radius: float = 3.5, **more: object) -> Markup:
    """Return a point that says what it is where one points at it."""
    return element("circle", element("title", title), cx=x, cy=y, r=radius, class_=kind, **more)


def line(
    points: Sequence[tuple[float, float]], kind: str, title: str = "", **more: object
) -> Markup:
    """Return a line through points."""
    way = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
    inside = (element("title", title),) if title else ()
    return element("path", *inside, d=way, class_=kind, **more)


def drawing(width: int, height: int, title: str, *parts: object, wide: bool = False) -> Markup:
    """Return a figure that is as wide as there is room, up to its own width.

    Args:
        width, height: in pixels, where there is room.
        title: what it shows, for those who hear it.
        parts: what is drawn.
        wide: whether it keeps its size on a phone, where it is scrolled.
    """
    picture = element(
        "svg",
        *parts,
        viewBox=f"0 0 {width} {height}",
        role="img",
        aria_label=title,
        style=f"max-width:{width}px" + (f";min-width:{min(width, 640)}px" if wide else ""),
    )
    if not wide:
        return picture
    return element("div", picture, class_="wide", tabindex=0, role="group", aria_label=title)
