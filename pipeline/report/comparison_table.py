"""What a comparison of methods says: three tables, and what the data doesn't show."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table

from pipeline.race.comparison import LEVEL, Comparison, Confirmed, Pair, hypervolume
from pipeline.race.statistics import Difference
from pipeline.report.formatting import parameters
from regmix.evaluation.results import Masking, Proportion

WORST = "worst case"
"""Row of an evaluation on test data: what survives all of its attacks, APGD the strongest."""


def methods(
    found: Mapping[str, Confirmed], known: Comparison, judged: Mapping[str, Mapping[str, Any]]
) -> Group:
    """Return a row for each method, the best first.

    Args:
        found: method -> what its search and its race say.
        known: what they are worth beside each other.
        judged: method -> what its evaluation on test data was kept in.
    """
    some = next(iter(found.values()))
    title = (
        f"robust accuracy: of start and winner the mean of {len(some.seeds)} fresh seeds on "
        f"{max(one.images for one in found.values())} validation images; test: one network of each"
    )
    table = _table()
    table.add_column("method", no_wrap=True)
    columns = ("start", "winner", "over its start", "test robust", "test clean", "trainings")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for method, worth in known.worth.items():
        rows = judged[method]["rows"]
        table.add_row(
            method,
            f"{worth.start:.3f}",
            _between(worth.mean, worth.interval),
            _signed(worth.gain) if found[method].found_better else "-",
            *(_share(rows[row]) for row in (WORST, "clean")),
            f"{found[method].trainings:.1f}",
        )
    return Group(title, table)  # a table's own title is broken at its width


def pairs(known: Comparison) -> Group:
    """Return a row for each pair of methods."""
    title = (
        "differences of the winners, within the same seeds and images; p holds for all pairs "
        "together (Holm)"
    )
    table = _table()
    table.add_column("methods", no_wrap=True)
    for name in ("difference (95 % interval)", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    for pair in known.pairs:
        table.add_row(f"{pair.one} - {pair.other}", _signed(pair.gap), _probability(pair.gap.p))
    return Group(title, table)


def fronts(found: Mapping[str, Confirmed], known: Comparison) -> Group:
    """Return the front of both accuracies of each search, and the area below it."""
    title = "front of robust/clean accuracy of each search, one seed, and the area below it"
    table = _table()
    table.add_column("method", no_wrap=True)
    table.add_column("volume", justify="right", no_wrap=True)
    table.add_column("front", overflow="fold")
    for method in known.worth:
        front = found[method].front
        points = ", ".join(f"{robust:.3f}/{clean:.3f}" for robust, clean in front)
        table.add_row(method, f"{hypervolume(front):.3f}", points)
    return Group(title, table)


def remarks(
    found: Mapping[str, Confirmed], known: Comparison, by_some: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return in sentences what the data shows, and what it doesn't.

    Args:
        found: method -> what its search and its race say.
        known: what they are worth beside each other.
        by_some: parameter that not all searched -> the methods that did.
    """
    told = [_of_search(method, found[method], known) for method in known.worth]
    told += [_better(pair) for pair in known.pairs if pair.gap.p < LEVEL]
    alike = [f"{one.one} and {one.other}" for one in known.pairs if one.gap.p >= LEVEL]
    if alike:
        least = max((one.gap.interval[1] - one.gap.interval[0]) / 2 for one in known.pairs)
        told.append(
            f"No difference between {'; '.join(alike)} is beyond chance, which says little of "
            f"differences below {least:.3f}."
        )
    for name, searched in by_some.items():
        told.append(
            f"Only {', '.join(searched)} searched {name}: a lead of {'it' * (len(searched) == 1)}"
            f"{'them' * (len(searched) > 1)} may be that of {name}."
        )
    return [
        *told,
        "Each method was searched once: what another search of it would find is in no interval.",
        "Winners are the best of their races on these images and seeds, so a little worse than "
        "they look; test data chose nothing, but judge one network of each.",
    ]


def doubts(judged: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return in sentences which networks show signs of gradient masking on test data.

    Args:
        judged: method -> what its evaluation on test data was kept in.
    """
    return [
        f"{method}: gradient masking? {sign}."
        for method, kept in judged.items()
        for sign in Masking(**kept["masking"]).flags(
            max(row["count"] for row in kept["rows"].values()), kept["eval_steps"]
        )
    ]


def _of_search(method: str, one: Confirmed, known: Comparison) -> str:
    """Say what a method's search found, and what it gained over its own start."""
    if not one.found_better:
        return f"{method}: its search found nothing better than its start."
    gain, params = known.worth[method].gain, parameters(one.winner, tuple(one.winner.params))
    sure = "beyond chance" if gain.p < LEVEL else "not beyond chance"
    return (
        f"{method}: trial {one.winner.number} with {params}, {gain.value:+.3f} over its start, "
        f"{sure} (p {_probability(gain.p)}, Holm)."
    )


def _better(pair: Pair) -> str:
    first, second = pair.one, pair.other
    if pair.gap.value < 0:
        first, second = second, first
    return f"{first} is better than {second} by {abs(pair.gap.value):.3f}, beyond chance."


def _table() -> Table:
    return Table(box=None, pad_edge=False)


def _signed(gap: Difference) -> str:
    return f"{gap.value:+.3f} ({gap.interval[0]:+.3f} to {gap.interval[1]:+.3f})"


def _between(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def _share(row: Mapping[str, int]) -> str:
    share = Proportion(row["hits"], row["count"])
    return _between(share.value, share.interval)


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
