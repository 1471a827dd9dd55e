"""What a reader needs to do it again: the commands, the problem, versions and machines."""

from pipeline.views.formatting import duration
from pipeline.views.html.markup import Markup, element
from pipeline.views.html.material import Material
from pipeline.views.html.parts import command, facts, more, section


def next_steps(material: Material) -> Markup:
    """Return the commands: how to take the best, how to confirm it, how to search again."""
    if not material.commands:
        return Markup()
    rows = [
        element("div", element("dt", name), element("dd", command(line)))
        for name, line in material.commands.items()
    ]
    return section(
        "next", "Take it, prove it, do it again", element("dl", *rows, class_="commands")
    )


def details(material: Material) -> Markup:
    """Return problem, limits, methods, versions and machines."""
    found = material.summary
    problem = [(name, str(value)) for name, value in found.problem.items()]
    extent = [(name, _limit(name, value)) for name, value in found.extent.items()]
    parts = [more("The problem, and the space that is searched", facts(problem))]
    if extent:
        parts.append(more("Limits", facts(extent)))
    for place, method in enumerate(found.methods, start=1):
        title = "How it was searched" + (f", session {place}" if len(found.methods) > 1 else "")
        parts.append(more(title, facts((name, str(value)) for name, value in method.items())))
    parts.append(more("Versions and machine", facts(_computed(material))))
    return section("details", "What this rests on", *parts)


def _limit(name: str, value: float) -> str:
    return duration(value) if name == "budget" else f"{value:g}"


def _computed(material: Material) -> list[tuple[str, str]]:
    """Return each fact of versions and machines; several values where trials differ."""
    found: dict[str, set[str]] = {name: {str(v)} for name, v in material.summary.versions.items()}
    for trial in material.trials.values():
        for place in trial.computed_on:
            for name, value in {**place.machine, **place.versions}.items():
                found.setdefault(name, set()).add(str(value))
    return [(name, ", ".join(sorted(values))) for name, values in found.items()]
