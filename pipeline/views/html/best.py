"""The best and how sure that is: beside the default and its rivals, in the race, on test data."""

from collections.abc import Mapping
from typing import Any

from pipeline.views.html.glance import alike, worth
from pipeline.views.html.intervals import Row, intervals
from pipeline.views.html.markup import Markup, element
from pipeline.views.html.material import Material, between, short
from pipeline.views.html.parts import figure, note, section, table
from pipeline.views.summary import RaceSummary, TrialSummary
from regmix.evaluation.results import Masking, Proportion

_RIVALS = 7  # trials beside the best and the default


def best(material: Material) -> Markup:
    """Return what the best is worth, what makes it doubtful, and what fresh seeds say."""
    found = material.summary
    if found.best is None:
        said = "No trial is complete as a candidate, so there is no best configuration."
        return section("best", "The best", lead=said)
    parts = [_search(material, found.best)]
    if found.race is not None:
        parts.append(_race(found.race))
    parts += [_judged(name, kept) for name, kept in material.judged.items()]
    return section("best", "The best, and whether it is real", *parts)


def _search(material: Material, top: TrialSummary) -> Markup:
    return element(
        "div",
        element("div", element("h3", "On the images that chose it"), *_words(material, top)),
        figure(_rivals(material), _caption(material, top)),
        class_="pair",
    )


def _caption(material: Material, top: TrialSummary) -> str:
    images = material.trials[top.trial].final.count
    return (
        f"Robust accuracy of the best candidates on n = {images:,} validation images, one seed "
        "each. Bars: 95 % intervals, of the images alone."
    )


def _words(material: Material, top: TrialSummary) -> list[Markup]:
    """Return what there is to say of the best, as sentences."""
    found, default = material.summary, material.summary.default
    said = [f"Trial {top.trial} has {worth(top)}."]
    if found.expected is not None and top.final_robust is not None:
        luck = top.final_robust - found.expected
        share = f"about {luck:.3f} of it is luck" if luck >= 0.0005 else "it stands apart"
        said.append(f"Expected when it is trained again: {found.expected:.3f} ({share}).")
    else:
        said.append("These images chose it: expect less on others.")
    said.append(alike(material))
    if default is not None and default.trial == top.trial:
        said.append("It is the start itself: the search found nothing better.")
    elif default is not None:
        gain = top.over_default
        reach = (
            f": a difference of {gain.value:+.3f} on the same images "
            f"(95 %: {between(gain.low, gain.high, '+')}, seeds not counted)"
            if gain
            else ""
        )
        said.append(f"The start, trial {default.trial}, has {worth(default)}{reach}.")
    doubts = [f"Doubt: {doubt}." for doubt in top.doubts]
    if not doubts:
        doubts = ["No sign of gradient masking or catastrophic overfitting was found."]
    return [
        *(element("p", line) for line in (*said, *doubts)),
        _parameters(material, top),
    ]


def _parameters(material: Material, top: TrialSummary) -> Markup:
    """Return the parameters of the best, of the race's winner and of the start."""
    columns = {top.trial: ("best", top)}
    chosen, default = material.chosen, material.summary.default
    if chosen is not None and chosen.trial not in columns:
        columns[chosen.trial] = ("winner of the race", chosen)
    if default is not None and default.trial not in columns:
        columns[default.trial] = ("start", default)
    heads = ("parameter", *(f"{name}, {number}" for number, (name, _) in columns.items()))
    rows = [
        (name, *(short(trial.params.get(name, "-")) for _, trial in columns.values()))
        for name in top.params
    ]
    return table(heads, rows, "Their parameters", numbers=range(1, len(heads)))


def _rivals(material: Material) -> Markup:
    """Return the best candidates with their intervals, the default among them."""
    found = material.summary
    ranked = [one for one in found.trials if one.rank is not None]
    shown = ranked[: _RIVALS + 1]
    if found.default is not None and found.default not in shown:
        shown.append(found.default)
    rows = []
    for one in shown:
        value = one.final_robust or 0.0
        low, high = one.interval or (value, value)
        kind = material.kind(one)
        name = f"{'start, ' if one.is_default else ''}trial {one.trial}"
        rows.append(Row(name, value, low, high, f"{value:.3f}", kind))
    return intervals(rows, "robust accuracy", "Robust accuracy of the best candidates")


def _race(race: RaceSummary) -> Markup:
    """Return the finalists by their fresh seeds."""
    rows, cells = [], []
    for one in race.finalists:
        start = one.trial == race.reference
        kind = "default" if start else "best" if one is race.winner else "candidate"
        name = f"{'start, ' if start else ''}trial {one.trial}"
        rows.append(Row(name, one.mean, *one.interval, f"{one.mean:.3f}", kind))
        gain = reach = "-"
        if one.gain is not None:
            gain, reach = f"{one.gain.value:+.3f}", between(one.gain.low, one.gain.high, "+")
        cells.append((name, one.seeds, f"{one.mean:.3f}", gain, reach, f"{one.best:.0%}"))
    heads = ("finalist", "seeds", "mean", "gain", "95 %", "best with")
    caption = "Gains over the start, within the same seeds and images"
    left = [f"Trial {one.trial} left the race: {one.gone}." for one in race.finalists if one.gone]
    state = "" if race.state == "done" else f" The race is {race.state}: more seeds may follow."
    return element(
        "div",
        element(
            "div",
            element("h3", "With fresh seeds"),
            element("p", f"Finalists were trained again with seeds that chose nothing.{state}"),
            table(heads, cells, caption, numbers=range(1, 6), strong=0),
            *(element("p", line, class_="note") for line in left),
        ),
        figure(
            intervals(rows, "mean robust accuracy", "Finalists of the race by their mean"),
            "Mean robust accuracy over fresh seeds. Bars: 95 % intervals.",
        ),
        class_="pair",
    )


def _judged(name: str, kept: Mapping[str, Any]) -> Markup:
    """Return an evaluation on test data."""
    rows = []
    for attack, row in kept["rows"].items():
        share = Proportion(row["hits"], row["count"])
        rows.append((attack, f"{share.value:.3f}", between(*share.interval), f"{share.count:,}"))
    count = max(row["count"] for row in kept["rows"].values())
    signs = Masking(**kept["masking"]).flags(count, kept["eval_steps"])
    doubts = [element("p", f"Doubt: {sign}.") for sign in signs]
    caption = f"{name} on the test data of {kept['data']}, epsilon {kept['epsilon']:.4g}"
    heads = ("attack", "survive", "95 %", "images")
    return element(
        "div",
        element("h3", "On test data, once"),
        table(heads, rows, caption, numbers=(1, 2, 3)),
        *doubts,
        note("Test data chose nothing; it judges one network."),
    )
