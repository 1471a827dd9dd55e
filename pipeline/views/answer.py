"""The answer of a search with its race: which configuration, how good, and how certain that is."""

from pipeline.views import race_table
from pipeline.views.formatting import at_the_edge, named
from pipeline.views.layout import lines
from pipeline.views.summary import Summary


def page(summary: Summary, width: int) -> list[str]:
    """Return the winner of a race in words, then the table of all finalists.

    Args:
        summary: what the study and its race say.
        width: columns that a line may have.
    """
    return [*lines(answer(summary), width), "", *race_table.page(summary, width)]


def answer(summary: Summary) -> str:
    """Return the winner of a race in words; each line is a paragraph."""
    assert summary.race is not None, "there is a race"
    finalists, one = summary.race.finalists, summary.race.winner
    trial, (low, high) = summary.trial(one.trial), one.interval
    seeds = f"{one.seeds} fresh seed{'s' * (one.seeds > 1)}"
    verdict = race_table.verdict(summary)
    said = [
        f"Answer: trial {one.trial} with {named(trial.params, summary.searched)}",
        f"  robust accuracy {one.mean:.3f} over {seeds} (95 % interval {low:.3f} to {high:.3f}), "
        f"clean {'unknown' if one.clean is None else f'{one.clean:.3f}'}; the best of "
        f"{len(finalists)} with a probability of {one.best:.0%}",
        f"  {verdict[0].upper()}{verdict[1:]}.",
        *(f"  {edge}" for edge in (at_the_edge(trial.params, trial.at_bounds),) if edge),
        *(f"  Doubtful: {doubt}." for doubt in trial.doubts),
    ]
    return "\n".join(said)
