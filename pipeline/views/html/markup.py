"""HTML and SVG as text that is safe by its type: a plain string is escaped wherever it is put."""

from html import escape
from typing import Self


class Markup(str):
    """Text that is markup already; only this file makes it of anything else."""

    __slots__ = ()

    @classmethod
    def joined(cls, *parts: object) -> Self:
        """Return parts behind each other; what is no markup is escaped, None is left out."""
        return cls("".join(map(_safe, parts)))


def _safe(part: object) -> str:
    if part is None:
        return ""
    return part if isinstance(part, Markup) else escape(str(part))


_EMPTY = frozenset({"meta", "br", "col", "input", "line", "circle", "rect", "path", "use"})


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element.

    Args:
        name: its tag.
        children: what is in it; whatever is no `Markup` is escaped.
        attributes: underscores become hyphens, and one at the end is dropped (`class_`); None is
            left out, True stands without a value.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _EMPTY and not children:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{Markup.joined(*children)}</{name}>")


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    key = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {key}"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return f' {key}="{escape(text)}"'


def trusted(text: str) -> Markup:
    """Return a file of this package, a style or a script, as it stands."""
    return Markup(text)
