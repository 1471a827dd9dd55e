"""Every trial with its parameters and the reason of its end, to be sorted and searched."""

from collections.abc import Sequence

from pipeline.views.html.glance import done
from pipeline.views.html.markup import Markup, element
from pipeline.views.html.material import STATES, Material, short
from pipeline.views.html.parts import more, section
from pipeline.views.summary import TrialSummary

_CAPTION = (
    "The best first; press a heading to sort. Robust is the objective; last is the accuracy in the "
    "last epoch, under the weaker attack that trials are stopped by. A stop as less promising: a "
    "target above all values so far is drawn for each decision, and whoever is likelier to reach "
    "it is trained."
)
_OPEN = 60  # rows up to which the table is open at first


def trial_table(material: Material) -> Markup:
    """Return the table of all trials, the best first."""
    rows = material.summary.trials
    title = "All trials, and why they ended"
    if not rows:
        return section("trials", title, lead="No trial has begun yet.")
    return section(
        "trials",
        title,
        more(
            f"{len(rows):,} trials",
            _filter(rows),
            _table(material),
            opened=len(rows) <= _OPEN,
        ),
        lead=done(material),
    )


def _filter(rows: Sequence[TrialSummary]) -> Markup:
    """Return what the rows are searched by; it is hidden where scripts don't run."""
    states = sorted({STATES[row.state] for row in rows})
    options = [element("option", "any state", value="")]
    options += [element("option", state, value=state) for state in states]
    return element(
        "p",
        element("label", "Search ", element("input", type="search", data_filter=True, size=24)),
        element("label", "State ", element("select", *options, data_state=True)),
        element("span", f"{len(rows)} of {len(rows)}", data_count=True, aria_live="polite"),
        class_="filter script",
    )


def _table(material: Material) -> Markup:
    rows, names = material.summary.trials, list(material.ranges)
    heads = ["rank", "trial", "state", "epoch", "robust", "± 95 %", "over start", "last", "clean"]
    head = [
        element("th", element("button", name, type="button"), scope="col")
        for name in (*heads, "why", *names)
    ]
    body = [_row(row, material, names) for row in rows]
    made = element(
        "table",
        element(
            "caption",
            _CAPTION,
        ),
        element("thead", element("tr", *head)),
        element("tbody", *body),
        data_trials=True,
    )
    label = "All trials, scrolls sideways"
    return element("div", made, class_="scroll", tabindex=0, role="group", aria_label=label)


def _row(row: TrialSummary, material: Material, names: Sequence[str]) -> Markup:
    half = f"{(row.interval[1] - row.interval[0]) / 2:.3f}" if row.interval else ""
    over = f"{row.over_default.value:+.3f}" if row.over_default else ""
    cells = [
        "" if row.rank is None else row.rank,
        row.trial,
        STATES[row.state],
        f"{row.epoch}/{row.epochs}",
        _share(row.final_robust),
        half,
        over,
        _share(row.robust),
        _share(row.clean),
    ]
    made = [element("td", cell) for cell in cells]
    made[1] = element("th", row.trial, scope="row")
    why = element("td", row.remarks, class_="why")
    params = [element("td", short(row.params.get(name, ""))) for name in names]
    return element("tr", *made, why, *params, class_=material.kind(row), data_trial=row.trial)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
