"""A report as one HTML file: what it holds, in which order, and that it asks nobody for more."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.race.comparison import Comparison
from pipeline.views.html.best import best
from pipeline.views.html.curves import curves
from pipeline.views.html.details import details, next_steps
from pipeline.views.html.glance import glance, head
from pipeline.views.html.markup import Markup, element, trusted
from pipeline.views.html.material import Material
from pipeline.views.html.matters import matters
from pipeline.views.html.parallel import parallel
from pipeline.views.html.pruning import pruning
from pipeline.views.html.side_by_side import best_of, side_by_side
from pipeline.views.html.timeline import timeline
from pipeline.views.html.trade_off import trade_off
from pipeline.views.html.trial_table import trial_table

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
_SECTIONS = (
    best,
    trade_off,
    matters,
    parallel,
    curves,
    trial_table,
    pruning,
    timeline,
    next_steps,
    details,
)


def page(material: Material) -> str:
    """Return the report of a study; it is read without a network, and without its script too."""
    body = [head(material), glance(material), *(make(material) for make in _SECTIONS)]
    return _document(f"{material.summary.study}: {material.summary.state}", body)


def page_of_several(
    materials: Sequence[Material], compared: Comparison | None, said: str = ""
) -> str:
    """Return the report of several studies, side by side and then each for itself.

    Args:
        materials: the studies.
        compared: what their winners are worth beside each other, if each has a race.
        said: why they are not compared; '' where they are.
    """
    names = ", ".join(material.summary.study for material in materials)
    body: list[object] = [
        element("p", "Searches", class_="over"),
        element("h1", names),
        *([element("p", best_of(compared), class_="lead")] if compared is not None else []),
        side_by_side(materials, compared, said),
    ]
    for material in materials:
        body.append(_one(material))
    return _document(names, body)


def _one(material: Material) -> Markup:
    """Return a study's report as a part of another, with names of its own for what it links to."""
    name = material.summary.study
    parts = [glance(material), *(make(material) for make in _SECTIONS)]
    inner = Markup.joined(*parts)
    for make in ("id", "aria-labelledby"):
        inner = trusted(inner.replace(f' {make}="', f' {make}="{name}-'))
    inner = trusted(inner.replace(' href="#', f' href="#{name}-'))
    title = element("h1", name)
    lead = element("p", material.summary.headline, class_="lead")
    return element("article", title, lead, inner, id=f"study-{name}")


def _document(title: str, body: Sequence[object]) -> str:
    here = Path(__file__)
    style = element("style", trusted(here.with_name("style.css").read_text()))
    script = element("script", trusted(here.with_name("behaviour.js").read_text()))
    top = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        style,
    )
    readout = element("output", class_="readout", data_readout=True, hidden=True)
    inner = element("body", element("main", *body), readout, script)
    return f"<!doctype html>\n{element('html', top, inner, lang='en')}\n"
