"""Two or more studies beside each other: their answers, and the gaps between their winners."""

from collections.abc import Mapping, Sequence

from pipeline.race.comparison import Comparison, Worth
from pipeline.views.formatting import duration
from pipeline.views.html.intervals import Row, intervals
from pipeline.views.html.markup import Markup, element
from pipeline.views.html.material import Material, between, settings
from pipeline.views.html.parts import figure, note, section, table


def side_by_side(materials: Sequence[Material], compared: Comparison | None, said: str) -> Markup:
    """Return a row for each study, and what the races say of their differences.

    Args:
        materials: the studies.
        compared: what their winners are worth beside each other, if each has a race.
        said: why they are not compared; '' where they are.
    """
    parts = [_overview(materials)]
    if compared is not None:
        parts.append(_gaps(compared))
    else:
        parts.append(note(f"Differences between them: {said}."))
    return section("beside", "Side by side", *parts)


def best_of(compared: Comparison) -> str:
    """Say which study's winner is ahead, and which others it can't be told from."""
    first, alike = compared.worth[compared.best], compared.alike
    said = (
        f"Ahead: {compared.best}, robust accuracy {first.mean:.3f} over fresh seeds (95 %: "
        f"{between(*first.interval)})"
    )
    return f"{said}, not distinguishable from {', '.join(alike)}." if alike else f"{said}."


def _overview(materials: Sequence[Material]) -> Markup:
    cells = []
    for material in materials:
        found = material.summary
        top, start = material.chosen, found.default
        cells.append(
            (
                element("a", found.study, href=f"#study-{found.study}"),
                found.state,
                f"{found.counts['COMPLETE']}/{len(found.trials)}",
                "-" if start is None else f"{start.final_robust:.3f}",
                "-" if top is None else f"{top.final_robust:.3f}",
                "-" if top is None or top.interval is None else between(*top.interval),
                "-" if top is None or top.clean is None else f"{top.clean:.3f}",
                "-" if found.race is None else f"{found.race.winner.mean:.3f}",
                f"{found.trainings:.1f}",
                duration(found.seconds),
                "-" if top is None else settings(top),
            )
        )
    heads = ("study", "state", "complete", "start", "best", "95 %", "clean", "race", "trainings")
    caption = "Robust accuracy on validation images; race: the winner's mean over fresh seeds"
    return table((*heads, "time", "parameters of the best"), cells, caption, numbers=range(2, 10))


def _gaps(compared: Comparison) -> Markup:
    worth: Mapping[str, Worth] = compared.worth
    rows = [
        Row(name, one.mean, *one.interval, f"{one.mean:.3f}", "best" if not place else "candidate")
        for place, (name, one) in enumerate(worth.items())
    ]
    gaps = [
        (
            f"{pair.one} - {pair.other}",
            f"{pair.gap.value:+.3f}",
            between(*pair.gap.interval, "+"),
            "< 0.001" if pair.gap.p < 0.001 else f"{pair.gap.p:.3f}",
        )
        for pair in compared.pairs
    ]
    picture = intervals(
        rows, "mean robust accuracy of the winner", "Winners of the races", left=150
    )
    heads = ("winners", "difference", "95 %", "p")
    caption = "Within the same seeds and images; p holds for all pairs together (Holm)"
    return element(
        "div",
        figure(picture, "Winners of the races over fresh seeds. Bars: 95 % intervals."),
        table(heads, gaps, caption, numbers=(1, 2, 3)),
        class_="pair",
    )
