"""What a comparison of methods says: four tables, and what the data doesn't show."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.race.comparison import LEVEL, Comparison, Confirmed, Pair, hypervolume
from pipeline.race.statistics import Difference
from pipeline.views.formatting import named
from pipeline.views.layout import Column, Table, lines
from regmix.evaluation.results import Masking, Proportion

WORST = "worst case"
"""Row of an evaluation on test data: what survives all of its attacks, APGD the strongest."""


def page(
    found: Mapping[str, Confirmed],
    known: Comparison,
    judged: Mapping[str, Mapping[str, Any]],
    by_some: Mapping[str, Sequence[str]],
    width: int,
) -> list[str]:
    """Return what the comparison shows, then its tables.

    Args:
        found: method -> what its search and its race say.
        known: what they are worth beside each other.
        judged: method -> what its evaluation on test data was kept in.
        by_some: parameter that not all searched -> the methods that did.
        width: columns that a line may have.
    """
    told = [*remarks(found, known, by_some), *doubts(judged)]
    tables = (
        _methods(found, known),
        _on_test_data(known, judged),
        _pairs(known),
        _fronts(found, known),
    )
    page = [line for text in (verdict(found, known), *told) for line in lines(text, width)]
    for title, table in tables:
        page += ["", *lines(title, width), "", *table.lines(width)]
    return page


def content(
    found: Mapping[str, Confirmed],
    known: Comparison,
    judged: Mapping[str, Mapping[str, Any]],
    by_some: Mapping[str, Sequence[str]],
    studies: Mapping[str, str],
    files: Mapping[str, str],
) -> dict[str, Any]:
    """Return a comparison as JSON holds it.

    Args:
        found, known, judged, by_some: as of `page`.
        studies: method -> name of its study.
        files: method -> file of its winner.
    """
    methods = [
        {
            "method": method,
            "study": studies[method],
            "file": files[method],
            "trial": found[method].winner.number,
            "params": dict(found[method].winner.params),
            "seeds": found[method].seeds,
            "start": worth.start,
            "mean": worth.mean,
            "interval": worth.interval,
            "gain": _gap(worth.gain) if found[method].found_better else None,
            "test_robust": _proportion(judged[method]["rows"][WORST]),
            "test_clean": _proportion(judged[method]["rows"]["clean"]),
            "trainings": found[method].trainings,
            "front": found[method].front,
            "volume": hypervolume(found[method].front),
        }
        for method, worth in known.worth.items()
    ]
    pairs = [{"one": one.one, "other": one.other, **_gap(one.gap)} for one in known.pairs]
    return {
        "headline": verdict(found, known),
        "methods": methods,
        "pairs": pairs,
        "remarks": remarks(found, known, by_some),
        "doubts": doubts(judged),
    }


def _gap(gap: Difference) -> dict[str, Any]:
    low, high = gap.interval
    return {"value": gap.value, "low": low, "high": high, "p": gap.p}


def _proportion(row: Mapping[str, int]) -> dict[str, Any]:
    share = Proportion(row["hits"], row["count"])
    return {"accuracy": share.value, "interval": share.interval, **row}


def verdict(found: Mapping[str, Confirmed], known: Comparison) -> str:
    """Say which method is best, and which it can't be told from."""
    best, worth, alike = known.best, known.worth[known.best], known.alike
    seeds = len(found[best].seeds)
    text = (
        f"Best of {len(known.worth)} methods: {best}, robust accuracy {worth.mean:.3f} over "
        f"{seeds} fresh seed{'s' * (seeds > 1)} (95 % interval {worth.interval[0]:.3f} to "
        f"{worth.interval[1]:.3f})"
    )
    return f"{text}, not distinguishable from {', '.join(alike)}." if alike else f"{text}."


def _methods(found: Mapping[str, Confirmed], known: Comparison) -> tuple[str, Table]:
    """Return a row for each method, the best first."""
    some = next(iter(found.values()))
    title = (
        f"Robust accuracy of start and winner: the mean of {len(some.seeds)} fresh seeds on "
        f"{max(one.images for one in found.values())} validation images"
    )
    gains = [_signed(w.gain) if found[m].found_better else "-" for m, w in known.worth.items()]
    columns = [
        Column("method", list(known.worth), right=False),
        Column("start", [f"{worth.start:.3f}" for worth in known.worth.values()], spare=1),
        Column("winner", [_between(w.mean, w.interval) for w in known.worth.values()]),
        Column("over its start", gains),
        Column("trainings", [f"{found[method].trainings:.1f}" for method in known.worth], spare=2),
    ]
    return title, Table(columns)


def _on_test_data(known: Comparison, judged: Mapping[str, Mapping[str, Any]]) -> tuple[str, Table]:
    """Return what each method's network reaches on test data."""
    rows = [judged[method]["rows"] for method in known.worth]
    columns = [
        Column("method", list(known.worth), right=False),
        Column("test robust", [_share(row[WORST]) for row in rows]),
        Column("test clean", [_share(row["clean"]) for row in rows]),
    ]
    return "On test data, one network of each", Table(columns)


def _pairs(known: Comparison) -> tuple[str, Table]:
    """Return a row for each pair of methods."""
    title = (
        "Differences of the winners, within the same seeds and images; p holds for all pairs "
        "together (Holm)"
    )
    columns = [
        Column("methods", [f"{pair.one} - {pair.other}" for pair in known.pairs], right=False),
        Column("difference (95 % interval)", [_signed(pair.gap) for pair in known.pairs]),
        Column("p", [_probability(pair.gap.p) for pair in known.pairs]),
    ]
    return title, Table(columns)


def _fronts(found: Mapping[str, Confirmed], known: Comparison) -> tuple[str, Table]:
    """Return the front of both accuracies of each search, and the area below it."""
    fronts = [found[method].front for method in known.worth]
    columns = [
        Column("method", list(known.worth), right=False),
        Column("volume", [f"{hypervolume(front):.3f}" for front in fronts]),
    ]
    points = [", ".join(f"{one:.3f}/{other:.3f}" for one, other in front) for front in fronts]
    title = "Front of robust/clean accuracy of each search, one seed, and the area below it"
    return title, Table(columns, remarks=points, said="front")


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
        "What seeds add is taken from the races of all methods together, so intervals are narrower "
        "than each race's own.",
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
    gain, params = known.worth[method].gain, named(one.winner.params, tuple(one.winner.params))
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


def _signed(gap: Difference) -> str:
    return f"{gap.value:+.3f} ({gap.interval[0]:+.3f} to {gap.interval[1]:+.3f})"


def _between(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def _share(row: Mapping[str, int]) -> str:
    share = Proportion(row["hits"], row["count"])
    return _between(share.value, share.interval)


def _probability(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
