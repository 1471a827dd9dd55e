"""What a race of finalists says: its table, and its end in a line."""

from pipeline.views.layout import Column, Table, lines
from pipeline.views.summary import OWN_DEFAULT, Finalist, Gain, RaceSummary, Summary


def page(summary: Summary, width: int) -> list[str]:
    """Return title and table of a study's race, with a row for each finalist, the best first.

    Args:
        summary: what the study and its race say.
        width: columns that a line may have.
    """
    race = summary.race
    if race is None:
        return []
    title = f"{summary.study}: robust accuracy of the finalists, fresh seeds, validation images"
    return [*lines(title, width), "", *_table(summary, race).lines(width)]


def _table(summary: Summary, race: RaceSummary) -> Table:
    rows, default = race.finalists, summary.default
    trials = [summary.trial(one.trial) for one in rows]
    own = default is not None and race.reference == default.trial
    own = own and summary.default_called == OWN_DEFAULT
    over = "the default" if own else f"trial {race.reference}"
    columns = [
        Column("trial", [str(one.trial) for one in rows]),
        Column("seeds", [str(one.seeds) for one in rows]),
        Column("mean", [f"{one.mean:.3f}" for one in rows]),
        Column("95 % interval", ["{:.3f} to {:.3f}".format(*one.interval) for one in rows], "", 1),
        Column("clean", ["-" if one.clean is None else f"{one.clean:.3f}" for one in rows], "", 2),
        Column("best", [f"{one.best:.0%}" for one in rows]),
        Column(f"over {over}", [_gain(one) for one in rows]),
    ]
    said = [
        one.gone or (summary.default_called if trial.is_default else "")
        for one, trial in zip(rows, trials, strict=True)
    ]
    params = {name: [trial.params[name] for trial in trials] for name in summary.searched}
    return Table(columns, params, said, after=1, elsewhere="the report or --json")


def _gain(one: Finalist) -> str:
    if one.gain is None:
        return "-"
    return f"{one.gain.value:+.3f} ({one.gain.low:+.3f} to {one.gain.high:+.3f})"


def _in_words(gain: Gain) -> str:
    return (
        f"{gain.value:+.3f} (95 % interval {gain.low:+.3f} to {gain.high:+.3f}, on the same seeds "
        "and images, for all finalists together)"
    )


def verdict(summary: Summary) -> str:
    """Say in a sentence whether the winner beats the reference, and how certain that is.

    Args:
        summary: what the study and its race say.
    """
    race = summary.race
    assert race is not None, "there is a race"
    winner, known = race.winner, summary.trial(race.reference)
    name = summary.default_called if known.is_default else f"trial {race.reference}"
    if winner.gain is None:
        others = [(one.trial, one.gain) for one in race.finalists if one.gain is not None]
        if not others:
            return f"no other finalist has ended beside {name}"
        trial, gap = others[0]
        none = f"none of the {len(others)} that raced it is" if others[1:] else "its rival isn't"
        return f"{none} ahead of {name}; the closest, trial {trial}, differs by {_in_words(gap)}"
    gain = _in_words(winner.gain)
    if winner.gain.low > 0:
        return f"trial {winner.trial} is better than {name} by {gain}"
    return (
        f"trial {winner.trial} leads, but can't be told from {name}: {gain}; more seeds may tell: "
        f"--seeds {2 * winner.seeds}"
    )
