"""The time line: which trial trained when, side by side as many as ran at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.study.records import TrialRecord
from pipeline.views.formatting import duration
from pipeline.views.html.markup import Markup, element
from pipeline.views.html.material import STATES, Material
from pipeline.views.html.parts import figure, section
from pipeline.views.html.svg import drawing, nice_step, words

_WIDTH, _LEFT, _RIGHT, _TOP = 960, 16, 16, 26
_PAUSE = 0.05  # share of all the time that a gap without any trial must have to be cut out
_GAP = 10.0  # pixels that are left of a gap
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)


@dataclass(frozen=True)
class Bar:
    """A trial's time: from its first epoch's beginning to its end, or to now.

    begin, end: seconds since the first trial began.
    """

    trial: TrialRecord
    begin: float
    end: float


@dataclass(frozen=True)
class Clock:
    """Seconds as pixels, gaps without any trial cut out.

    spans: begin and end of the times in which trials ran, ascending.
    scale: pixels of a second that counts.
    """

    spans: Sequence[tuple[float, float]]
    scale: float

    @classmethod
    def of(cls, bars: Sequence[Bar]) -> "Clock":
        """Return the clock of so many bars."""
        whole = max(bar.end for bar in bars) - min(bar.begin for bar in bars)
        spans: list[tuple[float, float]] = []
        for bar in sorted(bars, key=lambda bar: bar.begin):
            if spans and bar.begin - spans[-1][1] <= _PAUSE * whole:
                spans[-1] = spans[-1][0], max(spans[-1][1], bar.end)
            else:
                spans.append((bar.begin, bar.end))
        room = _WIDTH - _LEFT - _RIGHT - _GAP * (len(spans) - 1)
        return cls(spans, room / max(sum(end - begin for begin, end in spans), 1e-9))

    def at(self, second: float) -> float:
        """Return the pixel of a second."""
        x = float(_LEFT)
        for begin, end in self.spans:
            if second <= end:
                return round(x + max(0.0, second - begin) * self.scale, 1)
            x += (end - begin) * self.scale + _GAP
        return round(x - _GAP, 1)


def timeline(material: Material) -> Markup:
    """Return the section; '' before any trial has begun at a known time."""
    bars = _bars(list(material.trials.values()))
    if not bars:
        return Markup()
    lanes = packed(bars)
    tried = sum(bool(bar.trial.retries) for bar in bars)
    again = f" A white notch marks the {tried} that were tried again." if tried else ""
    clock = Clock.of(bars)
    cut = ""
    if len(clock.spans) > 1:
        pauses = len(clock.spans) - 1
        cut = f" {pauses} pause{'s' * (pauses > 1)} without a trial cut out (dashed)."
    return section(
        "time",
        "Who trained when",
        figure(
            _picture(bars, lanes, clock, material),
            f"n = {len(bars)} trials over {duration(max(bar.end for bar in bars))} of wall time; "
            f"lanes are trials at once, not machines.{again}{cut}",
        ),
        _legend({bar.trial.state for bar in bars}),
    )


def _bars(trials: Sequence[TrialRecord]) -> list[Bar]:
    begun = [one for one in trials if one.frozen.datetime_start is not None]
    if not begun:
        return []
    first = min(_begin(one) for one in begun)
    latest = max(one.frozen.datetime_complete or _begin(one) for one in begun)
    found = []
    for one in begun:
        trained = sum(metrics.seconds for metrics in one.epochs.values())
        end = one.frozen.datetime_complete or latest
        begin = (_begin(one) - first).total_seconds()
        until = max((end - first).total_seconds(), begin + (trained if not one.ended else 0.0))
        found.append(Bar(one, begin, until))
    return sorted(found, key=lambda bar: (bar.begin, bar.trial.number))


def _begin(trial: TrialRecord) -> datetime:
    found = trial.frozen.datetime_start
    assert found is not None, "it was begun"
    return found


def packed(bars: Sequence[Bar]) -> list[int]:
    """Return the lane of each bar, from 0: the first that is free when it begins.

    Args:
        bars: by their beginning.
    """
    free: list[float] = []
    lanes = []
    for bar in bars:
        lane = next((n for n, end in enumerate(free) if end <= bar.begin + 0.5), len(free))
        if lane == len(free):
            free.append(0.0)
        free[lane] = bar.end
        lanes.append(lane)
    return lanes


def _picture(bars: Sequence[Bar], lanes: Sequence[int], clock: Clock, material: Material) -> Markup:
    count = max(lanes) + 1
    pitch = 18 if count <= 16 else max(4, 288 // count)
    height = _TOP + pitch * count + 6
    parts = [_axis(clock, height)]
    best = material.chosen
    for bar, lane in zip(bars, lanes, strict=True):
        x, end = clock.at(bar.begin), clock.at(bar.end)
        y, wide = _TOP + pitch * lane, max(end - x - 0.5, 0.8)
        trial = bar.trial
        top = " top" if best is not None and best.trial == trial.number else ""
        said = f"trial {trial.number}: {trial.state}, {duration(bar.end - bar.begin)}"
        if trial.reason:
            said = f"{said}; {trial.reason}"
        parts.append(
            element(
                "rect",
                element("title", said),
                x=x,
                y=y,
                width=round(wide, 1),
                height=pitch - 3,
                class_=f"bar {trial.state.lower()}{top}",
                data_trial=trial.number,
            )
        )
        if trial.retries:
            parts.append(element("rect", x=x + 1, y=y, width=2, height=pitch - 3, class_="notch"))
        if wide > 8 * len(str(trial.number)) + 6 and pitch >= 14:
            parts.append(words(x + 4, y + 11.5, str(trial.number), "inside"))
    return drawing(_WIDTH, height, "Trials over time", *parts, wide=True)


def _axis(clock: Clock, height: int) -> Markup:
    parts = []
    seconds = sum(end - begin for begin, end in clock.spans)
    step = next((one for one in _STEPS if one >= seconds / 8), None) or nice_step(seconds / 8)
    for place, (begin, end) in enumerate(clock.spans):
        if place:
            x = clock.at(begin) - _GAP / 2
            parts.append(element("path", d=f"M{x} {_TOP - 4}V{height - 4}", class_="pause"))
        tick = -(-begin // step) * step
        while tick <= end:
            x = clock.at(tick)
            parts.append(element("path", d=f"M{x} {_TOP - 6}V{height - 4}", class_="grid"))
            side = "" if x < _LEFT + 10 else "end" if x > _WIDTH - _RIGHT - 20 else "middle"
            parts.append(words(x, _TOP - 12, duration(tick), f"number {side}"))
            tick += step
    return Markup.joined(*parts)


def _legend(states: set[str]) -> Markup:
    each = [
        element("span", element("i", class_=f"key {state.lower()}"), name)
        for state, name in STATES.items()
        if state in states
    ]
    return element("p", *each, class_="legend")
