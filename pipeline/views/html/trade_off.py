"""Clean against robust accuracy of all complete trials, with the front of both."""

from pipeline.views.html.glance import cost
from pipeline.views.html.markup import Markup, element
from pipeline.views.html.material import Material, settings
from pipeline.views.html.parts import figure, section, table
from pipeline.views.html.svg import Frame, around, dot, drawing, line, words
from pipeline.views.summary import TrialSummary

_SIZE = 460, 340


def trade_off(material: Material) -> Markup:
    """Return the scatter, and the front as a table."""
    known = [one for one in material.complete if one.clean is not None]
    title = "Clean against robust accuracy"
    if not known:
        return section("trade-off", title, lead="No trial is complete yet.")
    rows = [
        (f"trial {one.trial}", f"{one.final_robust:.3f}", f"{one.clean:.3f}", settings(one))
        for one in _front(material)
    ]
    heads = ("on the front", "robust", "clean", "parameters")
    return section(
        "trade-off",
        title,
        element(
            "div",
            figure(
                _scatter(material, known),
                f"n = {len(known)} complete trials. Line: the front, which no trial beats in "
                "both accuracies. Up and to the right is better.",
            ),
            table(heads, rows, "The front, the most robust first", numbers=(1, 2)),
            class_="pair",
        ),
        lead=cost(material),
    )


def _front(material: Material) -> list[TrialSummary]:
    rows = {one.trial: one for one in material.summary.trials}
    return [rows[number] for number in material.summary.front]


def _point(one: TrialSummary) -> tuple[float, float]:
    assert one.final_robust is not None and one.clean is not None, "it is complete"
    return one.clean, one.final_robust


def _scatter(material: Material, known: list[TrialSummary]) -> Markup:
    across, up = zip(*map(_point, known), strict=True)
    frame = Frame.of(*_SIZE, around(across), around(up), top=22)

    def at(one: TrialSummary) -> tuple[float, float]:
        clean, robust = _point(one)
        return frame.x.at(clean), frame.y.at(robust)

    parts = [frame.left_axis("robust accuracy"), frame.bottom_axis("clean accuracy")]
    front = [at(one) for one in _front(material)]
    if front:
        stairs = [front[0]]
        for x, y in front[1:]:
            stairs += (
                [(x, stairs[-1][1]), (x, y)] if x < stairs[-1][0] else [(stairs[-1][0], y), (x, y)]
            )
        parts.append(line(stairs, "front"))
    order = {"other": 0, "candidate": 1, "default": 2, "best": 3}
    for one in sorted(known, key=lambda one: order[material.kind(one)]):
        kind = material.kind(one)
        radius = 5.5 if kind in ("best", "default") else 3.5
        parts.append(dot(*at(one), kind, material.named(one), radius, data_trial=one.trial))
    parts += _labels(material, frame)
    return drawing(*_SIZE, "Clean against robust accuracy of complete trials", *parts)


def _labels(material: Material, frame: Frame) -> list[Markup]:
    """Return the names of the best and of the default beside their points."""
    found, parts = material.summary, []
    named = [(material.chosen, "best"), (found.default, "start")]
    if material.chosen is not None and material.chosen == found.default:
        named = [(material.chosen, "best, the start")]
    for one, name in named:
        if one is None or one.clean is None or one.final_robust is None:
            continue
        x, y = frame.x.at(one.clean), frame.y.at(one.final_robust)
        at_end = x > _SIZE[0] * 0.7
        side = "end" if at_end else ""
        parts.append(
            words(
                x - 10 if at_end else x + 10,
                y - 7,
                f"{name}: {one.trial}",
                f"name halo {side} {material.kind(one)}-text",
            )
        )
    return parts
