"""The head of a report: what was asked, the answer, and seven questions in one look."""

from pipeline.views.formatting import at_the_edge, duration
from pipeline.views.html.markup import Markup, element
from pipeline.views.html.material import STATES, TAKE, TAKE_ANSWER, Material, between, settings
from pipeline.views.html.parts import command, facts
from pipeline.views.importances import importances_in_words
from pipeline.views.race_table import verdict
from pipeline.views.summary import TrialSummary

_NAMED = 6  # trials that are named of those that may be as good
_KINDS = 4  # kinds of reasons for which trials were stopped


def head(material: Material) -> Markup:
    """Return the study's name, its question, its state and answer."""
    found = material.summary
    return Markup.joined(
        element("p", f"Search {found.study}", class_="over"),
        element("h1", found.question),
        element("p", found.headline, class_="lead"),
    )


def glance(material: Material) -> Markup:
    """Return the questions that people open a report with, each with its answer in words."""
    rows = (
        ("Is it done?", "#trials", done(material)),
        ("Which is best?", "#best", best(material)),
        ("Is it real?", "#best", real(material)),
        ("What does it cost in clean accuracy?", "#trade-off", cost(material)),
        ("What matters?", "#matters", matters(material)),
        ("What was stopped, and why?", "#trials", stopped(material)),
        ("How do I get it?", "#next", get(material)),
    )
    questions = [(element("a", name, href=where), said) for name, where, said in rows]
    return element("section", facts(questions), class_="glance", aria_label="At a glance")


def done(material: Material) -> str:
    """Say how far it is, and what it took."""
    found = material.summary
    counts = [f"{count:,} {STATES[state]}" for state, count in found.counts.items() if count]
    said = f"{found.state.capitalize()}: {', '.join(counts) or 'no trial yet'}"
    if found.state != "done" and found.progress:
        said += f"; {found.progress:.0%} of its limits used"
    trained = f"{found.trainings:.1f}".removesuffix(".0")
    return f"{said}. It took {duration(found.seconds)} and the epochs of {trained} full trainings."


def best(material: Material) -> str:
    """Say which trial is best, and what it is worth."""
    found = material.summary
    if found.best is None:
        return "No trial is a candidate yet."
    race = found.race
    if race is not None:
        one = race.winner
        return (
            f"Trial {one.trial}, by the race: {one.mean:.3f} over {one.seeds} fresh "
            f"seed{'s' * (one.seeds > 1)} (95 %: {between(*one.interval)})"
            f"{', with ' + settings(material.chosen) if material.chosen else ''}."
            f"{_edge(material.chosen)}"
        )
    said = f"Trial {found.best.trial}: {worth(found.best)}, with {settings(found.best)}."
    return f"{said}{_edge(found.best)}"


def _edge(trial: TrialSummary | None) -> str:
    said = "" if trial is None else at_the_edge(trial.params, trial.at_bounds)
    return f" {said}" if said else ""


def worth(trial: TrialSummary) -> str:
    """Return a complete trial's robust accuracy with its interval."""
    reach = f" (95 %: {between(*trial.interval)})" if trial.interval else ""
    return f"robust accuracy {trial.final_robust:.3f}{reach}"


def real(material: Material) -> str:
    """Say whether the best is better than the start, and what it can't be told from."""
    found = material.summary
    if found.best is None:
        return "There is nothing to ask of yet."
    race = found.race
    if race is not None:
        gain = race.winner.gain
        if gain is None:
            said = verdict(found)
            return f"{said[0].upper()}{said[1:]}."
        told = "beyond chance" if gain.low > 0 else "not beyond chance"
        return (
            f"With fresh seeds {gain.value:+.3f} over trial {race.reference} "
            f"(95 %: {between(gain.low, gain.high, '+')}), {told}; it is the best of the "
            f"finalists with probability {race.winner.best:.0%}."
        )
    return f"Not confirmed by a race. {alike(material)}"


def alike(material: Material) -> str:
    """Say which trials the best can't be told from."""
    found = material.summary
    if found.alike is None:
        return "From how many others it can't be told isn't known: too few trials are complete."
    if not found.alike:
        return "On the same images it stands apart from all others."
    shown = ", ".join(map(str, found.alike[:_NAMED]))
    more = len(found.alike) - _NAMED
    rest = f" and {more} more" if more > 0 else ""
    return f"It can't be told from trial{'s' * (len(found.alike) > 1)} {shown}{rest}."


def cost(material: Material) -> str:
    """Say what the best loses in clean accuracy against the default."""
    found = material.summary
    best, default = material.chosen, found.default
    if best is None or best.clean is None:
        return "No candidate is complete yet."
    clean, start, seeds = best.clean, default.clean if default else None, "one seed"
    if found.race is not None and found.race.winner.clean is not None:
        raced = {one.trial: one.clean for one in found.race.finalists}
        clean, seeds = found.race.winner.clean, f"{found.race.winner.seeds} fresh seeds"
        start = raced.get(default.trial) if default else None
    said = f"Clean accuracy {clean:.3f} ({seeds})"
    if start is not None and default is not None and default.trial != best.trial:
        said += f", {clean - start:+.3f} against the start's {start:.3f}"
    others = [number for number in found.front if number != best.trial]
    if others:
        count, more = len(others), "more" if len(others) < len(found.front) else "other"
        are = "is" if count == 1 else "are" if more == "more" else "trials are"
        said += f"; {count} {more} {are} on the front of both accuracies"
    return f"{said}."


def matters(material: Material) -> str:
    """Say which parameters matter."""
    return importances_in_words(material.importances, material.told)


def stopped(material: Material) -> str:
    """Say how many were stopped or failed, and for which reasons."""
    found = material.summary
    failed = sum(map(len, found.failed.values()))
    if not found.stopped and not failed:
        return "Nothing was stopped, and nothing failed."
    kinds = [f"{len(one.trials)} {one.why}" for one in found.stopped[:_KINDS]]
    said = "; ".join([*kinds, *([f"{failed} failed"] if failed else [])])
    left, full = found.pruned
    saved = f" That left out {left / full:.0%} of the epochs." if left else ""
    return f"{said}.{saved}"


def get(material: Material) -> Markup | str:
    """Return the command that writes the best as a file."""
    for what in (TAKE_ANSWER, TAKE):
        if what in material.commands:
            return command(material.commands[what])
    return "There is nothing to take away yet."
