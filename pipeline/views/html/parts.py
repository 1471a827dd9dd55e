"""The pieces that sections are built of: a section, a figure with its words, a small table."""

from collections.abc import Iterable, Sequence

from pipeline.views.html.markup import Markup, element


def section(key: str, title: str, *parts: object, lead: str = "") -> Markup:
    """Return a section with its heading, and a sentence that answers it.

    Args:
        key: what links point to.
        title: the heading.
        parts: what follows.
        lead: the answer in words; "" where the parts say it.
    """
    said = (element("p", lead, class_="lead"),) if lead else ()
    head = element("h2", title, id=f"{key}-title")
    return element("section", head, *said, *parts, id=key, aria_labelledby=f"{key}-title")


def figure(picture: object, caption: str, kind: str = "") -> Markup:
    """Return a drawing with what it shows and how it is read."""
    return element("figure", picture, element("figcaption", caption), class_=kind or None)


def note(*text: object) -> Markup:
    """Return a sentence in small print."""
    return element("p", *text, class_="note")


def facts(rows: Iterable[tuple[str, object]]) -> Markup:
    """Return names beside their values."""
    cells = [element("div", element("dt", name), element("dd", value)) for name, value in rows]
    return element("dl", *cells, class_="facts")


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[object]],
    caption: str,
    *,
    numbers: Sequence[int] = (),
    strong: int | None = None,
) -> Markup:
    """Return a small table that scrolls within itself where it is too wide.

    Args:
        heads: names of the columns.
        rows: cells of each row; the first one names it.
        caption: what it holds.
        numbers: columns whose cells are aligned to the right.
        strong: row that stands out, from 0.
    """
    right = ["num" if place in numbers else None for place in range(len(heads))]
    head = [
        element("th", name, scope="col", class_=kind)
        for name, kind in zip(heads, right, strict=True)
    ]
    body = []
    for place, row in enumerate(rows):
        first, *rest = row
        cells = [element("th", first, scope="row", class_=right[0])]
        cells += [
            element("td", one, class_=kind) for one, kind in zip(rest, right[1:], strict=True)
        ]
        body.append(element("tr", *cells, class_="strong" if place == strong else None))
    made = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *head)),
        element("tbody", *body),
    )
    return element("div", made, class_="scroll", tabindex=0, role="group", aria_label=caption)


def command(line: str) -> Markup:
    """Return a command line that is broken between its words alone, and copied as it stands."""
    each = [element("span", word) for word in line.split(" ")]
    parts = [part for word in each for part in (word, " ")]
    return element("code", *parts[:-1])


def more(title: str, *parts: object, opened: bool = False) -> Markup:
    """Return what is shown when its title is clicked."""
    return element("details", element("summary", title), *parts, open=opened)
