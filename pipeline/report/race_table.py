"""What a race of finalists says: its table, and its end in a line."""

from rich.table import Table

from pipeline.race.result import RaceResult
from pipeline.report.formatting import short
from pipeline.study.records import StudyRecord


def table(source: StudyRecord, result: RaceResult) -> Table:
    """Return a row for each finalist.

    Args:
        source: the study that found the finalists.
        result: what the race has found.
    """
    names, reference = source.searched, result.reference
    title = f"{source.name}: robust accuracy of the finalists, fresh seeds, validation images"
    board = Table(title=title, box=None, pad_edge=False, title_justify="left")
    known = source.trial(reference)
    own = known.is_default and not known.moved
    over = f"over {'the default' if own else f'trial {reference}'}"
    for name in ("trial", *names, "seeds", "mean", "95 % interval", "best", over):
        board.add_column(name, justify="right", no_wrap=True)
    board.add_column("why", overflow="fold")
    trials = source.trials()
    for number in result.order:
        one = result.standings[number]
        low, high = one.gain_interval
        gain = "-" if number == reference else f"{one.gain:+.3f} ({low:+.3f} to {high:+.3f})"
        origin = trials[number].default_in_words if trials[number].is_default else ""
        board.add_row(
            str(number),
            *(short(trials[number].params[name]) for name in names),
            str(one.seeds),
            f"{one.mean:.3f}",
            "{:.3f} to {:.3f}".format(*one.interval),
            f"{one.best:.0%}",
            gain,
            result.gone.get(number, origin),
        )
    return board


def verdict(source: StudyRecord, result: RaceResult) -> str:
    """Say in a line whether the winner beats the reference, and how certain that is.

    Args:
        source: the study that found the finalists.
        result: what the race has found.
    """
    winner, reference = result.winner, result.reference
    one, known = result.standings[winner], source.trial(reference)
    name = known.default_in_words if known.is_default else f"trial {reference}"
    if winner == reference:
        return f"nothing of the search is better than {name}"
    low, high = one.gain_interval
    gain = (
        f"{one.gain:+.3f} (95 % interval {low:+.3f} to {high:+.3f}, on the same seeds and images, "
        "for all finalists together)"
    )
    if low > 0:
        return f"trial {winner} is better than {name} by {gain}"
    return (
        f"trial {winner} leads, but can't be told from {name}: {gain}; more seeds "
        f"may tell: --seeds {2 * one.seeds}"
    )
