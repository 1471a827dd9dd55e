"""What a race of finalists says: its table, and its end in a line."""

from typing import TYPE_CHECKING

from rich.table import Table

from pipeline.driver.publish import searched
from pipeline.report.live import short

if TYPE_CHECKING:
    from optuna.study import Study

    from pipeline.race.statistics import Standing


def table(
    source: "Study",
    found: dict[int, "Standing"],
    order: list[int],
    gone: dict[int, str],
    reference: int,
) -> Table:
    """Return a row for each finalist.

    Args:
        source: the study that found them.
        found: how each stands, by its number there.
        order: the numbers, the best first.
        gone: why those that were dropped were.
        reference: the number that `found` compares with: the recipe's default, if it is there.
    """
    names = searched(source.user_attrs["question"])
    title = f"{source.study_name}: robust accuracy of the finalists, fresh seeds, validation images"
    result = Table(title=title, box=None, pad_edge=False, title_justify="left")
    for name in ("trial", *names, "seeds", "mean", "95 % interval", "best", "over the default"):
        result.add_column(name, justify="right", no_wrap=True)
    result.add_column("why", overflow="fold")
    trials = {trial.number: trial for trial in source.get_trials(deepcopy=False)}
    for number in order:
        one = found[number]
        low, high = one.gain_interval
        gain = "-" if number == reference else f"{one.gain:+.3f} ({low:+.3f} to {high:+.3f})"
        why = gone.get(number, "the recipe's default" if number == reference else "")
        result.add_row(
            str(number),
            *(short(trials[number].params[name]) for name in names),
            str(one.seeds),
            f"{one.mean:.3f}",
            "{:.3f} to {:.3f}".format(*one.interval),
            f"{one.best:.0%}",
            gain,
            why,
        )
    return result


def verdict(found: dict[int, "Standing"], winner: int, reference: int, seeds: int) -> str:
    """Say in a line whether the winner is better than the reference, and how surely.

    seeds: with how many fresh seeds each was trained.
    """
    one = found[winner]
    if winner == reference:
        return f"the recipe's default is the best of them, with a probability of {one.best:.0%}"
    low, high = one.gain_interval
    gain = f"{one.gain:+.3f} (95 % interval {low:+.3f} to {high:+.3f})"
    if low > 0:
        return f"trial {winner} is better than the recipe's default by {gain}"
    return (
        f"trial {winner} leads, but can't be told from the recipe's default: {gain}; more seeds "
        f"may tell: --seeds {2 * seeds}"
    )
