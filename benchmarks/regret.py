"""From rows of searches to regrets: tables with what they can and can't tell."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.lcbench import Reference

SHARES = tuple(share / 20 for share in range(1, 21))  # of the budget, at which is looked
SHOWN = (0.05, 0.1, 0.25, 0.5, 1.0)
DRAWS = 2000

Regrets = Mapping[tuple[str, int], NDArray[np.float64]]  # (task, seed) -> one per share


def regrets(
    rows: Sequence[Mapping[str, Any]], references: Mapping[str, Reference], rule: str
) -> dict[str, Regrets]:
    """Return each way's normalised regrets: 0 for the best reachable, 1 for a median one.

    Args:
        rows: of searches, see `benchmarks.search`.
        references: task -> what is reachable there.
        rule: by which the incumbent was picked: last or complete.
    """
    found: dict[str, dict[tuple[str, int], NDArray[np.float64]]] = {}
    for row in rows:
        reference = references[row["task"]]
        values = np.asarray(row[rule], float)
        regret = (reference.best - values) / (reference.best - reference.median)
        found.setdefault(row["way"], {})[row["task"], row["seed"]] = regret
    return dict(found)


def mean(found: Regrets) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean over tasks of the mean over seeds, and its standard error over tasks."""
    tasks = sorted({task for task, _ in found})
    each = np.stack(
        [np.mean([found[key] for key in found if key[0] == task], axis=0) for task in tasks]
    )
    if len(tasks) == 1:
        return each[0], np.full(each.shape[1], np.nan)
    return each.mean(axis=0), each.std(axis=0, ddof=1) / len(tasks) ** 0.5


def ratio(one: Regrets, other: Regrets) -> NDArray[np.float64]:
    """Return the ratio of mean regrets over the pairs (task, seed) that both have.

    Returns:
        (3, shares): the ratio, and the ends of its 95 % bootstrap interval: tasks are drawn, then
        seeds within each.
    """
    pairs = sorted(one.keys() & other.keys())
    tasks = sorted({task for task, _ in pairs})
    of_task = [[index for index, pair in enumerate(pairs) if pair[0] == task] for task in tasks]
    above, below = (np.stack([side[pair] for pair in pairs]) for side in (one, other))
    random = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        chosen = random.integers(len(tasks), size=len(tasks))
        indices = np.concatenate(
            [random.choice(of_task[task], len(of_task[task])) for task in chosen]
        )
        drawn.append(above[indices].sum(axis=0) / below[indices].sum(axis=0))
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    return np.stack([above.sum(axis=0) / below.sum(axis=0), low, high])


def never_worse(one: Regrets, other: Regrets) -> str:
    """Say at which shares of the budget the mean regret is higher, and where clearly so."""
    found = ratio(one, other)
    worse, clearly = _where(found[0] > 1), _where(found[1] > 1)
    if not worse:
        return "yes"
    return f"no: higher at {worse}; interval above 1 at {clearly or 'none'}"


def _where(true: NDArray[np.bool_]) -> str:
    """Return the shares in words: '10% to 25%, 100%'."""
    found: list[list[float]] = []
    for index in np.flatnonzero(true):
        if found and index and true[index - 1]:
            found[-1][1:] = [SHARES[index]]
        else:
            found.append([SHARES[index]])
    return ", ".join(" to ".join(f"{share:.0%}" for share in run) for run in found)


def show(found: Mapping[str, Regrets], peer: str, baseline: str) -> None:
    """Print mean regrets, ratios to the peer's and to the baseline's."""
    console = Console(width=None if Console().is_terminal else 200)
    at = [SHARES.index(share) for share in SHOWN]
    heads = [f"{share:.0%}" for share in SHOWN]
    table = Table("way", "tasks x seeds", *heads, title="mean regret (standard error over tasks)")
    for way, own in found.items():
        tasks, (middle, error) = {task for task, _ in own}, mean(own)
        cells = (f"{middle[i]:.3f} ({error[i]:.3f})" for i in at)
        table.add_row(way, f"{len(tasks)} x {len(own) / len(tasks):.3g}", *cells)
    console.print(table)
    for other in (name for name in (peer, baseline) if name in found):
        table = Table("way", *heads, title=f"ratio to {other}, paired (95 % interval)")
        for way, own in found.items():
            if way != other and own.keys() & found[other].keys():
                low = ratio(own, found[other])
                table.add_row(
                    way, *(f"{low[0, i]:.2f} ({low[1, i]:.2f} to {low[2, i]:.2f})" for i in at)
                )
        console.print(table)
    for way, own in found.items():
        if baseline in found and way != baseline and own.keys() & found[baseline].keys():
            verdict = never_worse(own, found[baseline])
            console.print(f"{way}: never worse than {baseline}: {verdict}", highlight=False)
