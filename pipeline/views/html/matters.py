"""What matters: each parameter's share of the variance, and its values against the objective."""

from pipeline.views.html.glance import matters as in_words
from pipeline.views.html.intervals import Row, intervals
from pipeline.views.html.markup import Markup, element
from pipeline.views.html.material import Material, Range
from pipeline.views.html.parts import figure, note, section
from pipeline.views.html.svg import Frame, around, dot, drawing, tick_text, words
from pipeline.views.summary import TrialSummary

_SIZE = 330, 230
_MOST = 400  # points of a figure: more of them hide each other


def matters(material: Material) -> Markup:
    """Return importances with their intervals, and a figure of each parameter."""
    title = "What matters"
    if not material.complete or not material.ranges:
        return section("matters", title, lead=in_words(material))
    parts = []
    if material.importances:
        parts.append(_importances(material))
    slices = [_slice(material, name) for name in material.ordered]
    caption = (
        f"Robust accuracy of {len(_shown(material))} complete trials against each parameter, on "
        "the scale that it is searched on. Stopped trials have no such value."
    )
    parts.append(note(caption))
    parts.append(element("div", *slices, class_="many"))
    return section("matters", title, *parts, lead=in_words(material))


def _importances(material: Material) -> Markup:
    rows = [
        Row(name, one.value, one.low, one.high, f"{one.value:.0%}")
        for name, one in material.importances.items()
    ]
    picture = intervals(
        rows,
        "share of the variance of robust accuracy",
        "How much each parameter matters",
        ends=(0.0, 1.0),
        text=lambda value: f"{value:.0%}",
        left=124,
        right=54,
    )
    return figure(
        picture,
        f"n = {material.told} trials, stopped ones counted with what others gained from there on. "
        "Share of the variance over the whole space that stays when all other parameters are "
        "fixed, by a Gaussian process; bars: 90 % of its draws. Shares may add to more than 100 %, "
        "since what two do together counts for both.",
    )


def _shown(material: Material) -> list[TrialSummary]:
    """Return so many complete trials as a figure can show, from the best to the worst alike."""
    known = list(material.complete)
    if len(known) <= _MOST:
        return known
    apart = len(known) / _MOST
    return [known[int(place * apart)] for place in range(_MOST)]


def _slice(material: Material, name: str) -> Markup:
    """Return one parameter's values against robust accuracy."""
    scale, shown = material.ranges[name], _shown(material)
    values = [one.final_robust for one in shown if one.final_robust is not None]
    ends = (-0.5, scale.high + 0.5) if scale.choices else (scale.low, scale.high)
    frame = Frame.of(*_SIZE, ends, around(values), log=scale.log, top=22)
    parts = [frame.left_axis("robust accuracy"), _axis(frame, name, scale)]
    order = {"other": 0, "candidate": 1, "default": 2, "best": 3}
    for one in sorted(shown, key=lambda one: order[material.kind(one)]):
        kind = material.kind(one)
        radius = 4.5 if kind in ("best", "default") else 3.0
        x, y = frame.x.at(scale.place(one.params[name])), frame.y.at(one.final_robust or 0.0)
        parts.append(dot(x, y, kind, material.named(one), radius, data_trial=one.trial))
    picture = drawing(*_SIZE, f"Robust accuracy against {name}", *parts)
    return element("figure", picture)


def _axis(frame: Frame, name: str, scale: Range) -> Markup:
    if not scale.choices:
        return frame.bottom_axis(f"{name}{' (log scale)' if scale.log else ''}", tick_text)
    base, middle = frame.y.start, (frame.x.start + frame.x.end) / 2
    named = [
        words(frame.x.at(place), base + 16, choice, "number middle")
        for place, choice in enumerate(scale.choices)
    ]
    axis = element("path", d=f"M{frame.x.start} {base}H{frame.x.end}", class_="axis")
    return Markup.joined(axis, *named, words(middle, base + 33, name, "label middle"))
