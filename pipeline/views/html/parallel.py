"""Parallel coordinates: a line for each complete trial across all parameters, by its accuracy."""

from pipeline.views.html.markup import Markup, element
from pipeline.views.html.material import Material, Range
from pipeline.views.html.parts import figure, section
from pipeline.views.html.svg import Scale, drawing, line, shade, tick_text, words
from pipeline.views.summary import TrialSummary

_WIDTH, _HEIGHT = 960, 360
_TOP, _BOTTOM, _LEFT, _RIGHT = 40, 20, 54, 74
_MOST = 300  # lines


def parallel(material: Material) -> Markup:
    """Return the figure; '' where there are fewer than two parameters or complete trials."""
    known = list(material.complete)
    if len(known) < 2 or len(material.ranges) < 2:
        return Markup()
    shown = known if len(known) <= _MOST else _thinned(known)
    few = "" if len(shown) == len(known) else f", {len(shown)} of them, the best first"
    return section(
        "together",
        "All parameters together",
        figure(
            _picture(material, shown),
            f"A line for each complete trial (n = {len(known)}{few}): dark is low, yellow is "
            "high robust accuracy; the thick line is the best. What matters most stands at the "
            "right.",
        ),
    )


def _thinned(known: list[TrialSummary]) -> list[TrialSummary]:
    """Return half of the lines for the best, the rest evenly from all others."""
    best, others = known[: _MOST // 2], known[_MOST // 2 :]
    apart = len(others) / (_MOST - len(best))
    return best + [others[int(place * apart)] for place in range(_MOST - len(best))]


def _picture(material: Material, shown: list[TrialSummary]) -> Markup:
    names = list(reversed(material.ordered))
    values = [one.final_robust or 0.0 for one in shown]
    low, high = min(values), max(values)
    places = len(names)  # the objective is the last axis
    x = Scale(0, places, _LEFT, _WIDTH - _RIGHT)
    scales = [_scale(material.ranges[name]) for name in names]
    objective = Scale(low, high, _HEIGHT - _BOTTOM, _TOP)
    parts = []
    for one in sorted(shown, key=lambda one: one.final_robust or 0.0):
        heights = [
            scale.at(material.ranges[name].place(one.params[name]))
            for name, scale in zip(names, scales, strict=True)
        ]
        heights.append(objective.at(one.final_robust or 0.0))
        points = [(x.at(place), height) for place, height in enumerate(heights)]
        share = ((one.final_robust or 0.0) - low) / (high - low) if high > low else 1.0
        kind = "thread top" if one is material.chosen else "thread"
        parts.append(
            line(points, kind, material.named(one), stroke=shade(share), data_trial=one.trial)
        )
    for place, (name, scale) in enumerate(zip(names, scales, strict=True)):
        parts.append(_axis(x.at(place), name, scale, material.ranges[name], place))
    whole = Range(low, high, log=False)
    parts.append(_axis(x.at(places), "robust", objective, whole, places))
    return drawing(_WIDTH, _HEIGHT, "Parameters of complete trials side by side", *parts, wide=True)


def _scale(found: Range) -> Scale:
    return Scale(found.low, found.high, _HEIGHT - _BOTTOM, _TOP, found.log)


def _axis(x: float, name: str, scale: Scale, found: Range, place: int) -> Markup:
    """Return an upright axis with its name above it."""
    ticks = range(len(found.choices)) if found.choices else scale.ticks(4)
    parts = [element("path", d=f"M{x} {_TOP}V{_HEIGHT - _BOTTOM}", class_="axis")]
    for tick in ticks:
        text = found.choices[int(tick)] if found.choices else tick_text(tick)
        parts.append(element("path", d=f"M{x - 4} {scale.at(tick)}h4", class_="tick"))
        parts.append(words(x - 7, scale.at(tick) + 4, text, "number end halo"))
    staggered = _TOP - 10 if place % 2 else _TOP - 24
    parts.append(words(x, staggered, name, "name middle"))
    return Markup.joined(*parts)
