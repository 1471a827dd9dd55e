"""What early parts of learning curves tell of their ends: correlations, and halving replayed."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from pipeline.pruners.halving import rungs

PARTS = {"a tenth": 0.1, "a fifth": 0.2, "a third": 1 / 3, "a half": 0.5, "7 tenths": 0.7}
BUDGETS = (1 / 6, 1 / 4)  # of the epochs of all trials, at which pruned and unpruned are compared
Curve = Sequence[float]


def rank_correlation(early: Curve, final: Curve) -> float:
    """Return Spearman's coefficient; ties share their mean rank."""
    from scipy.stats import spearmanr

    return float(spearmanr(early, final).statistic)


def interval(early: Curve, final: Curve, draws: int = 1000) -> tuple[float, float]:
    """Return the central 95 % of the coefficient over configurations drawn with replacement."""
    generator, pairs = np.random.default_rng(0), np.array([early, final])
    found = []
    for _ in range(draws):
        drawn = pairs[:, generator.integers(0, pairs.shape[1], pairs.shape[1])]
        if len(set(drawn[0])) > 1 and len(set(drawn[1])) > 1:
            found.append(rank_correlation(*drawn))
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def halve(
    curves: Sequence[Curve], final: Curve, first: float, keep: float, shuffles: int = 1000
) -> tuple[float, float, float]:
    """Replay halving over complete curves, one after the other, in many orders.

    Args:
        curves: a value for each epoch of each trial; all equally long.
        final: what each is worth at its end.
        first: share of the epochs at which the first rung lies; it doubles from there.
        keep: share of the trials at a rung that goes on.
        shuffles: orders.

    Returns:
        Mean share of the epochs that were spent, mean of the best final value that was kept
        below the best of all, and share of the orders in which the best of all was lost.
    """
    length, generator = len(curves[0]), np.random.default_rng(0)
    spent, short, lost = [], [], 0
    for _ in range(shuffles):
        epochs, kept = 0, []
        for trial, end in _replay(curves, first, keep, generator.permutation(len(curves))):
            epochs += end
            if end == length:
                kept.append(final[trial])
        spent.append(epochs / (length * len(curves)))
        short.append(max(final) - max(kept))
        lost += max(kept) < max(final)
    return float(np.mean(spent)), float(np.mean(short)), lost / shuffles


def shortfalls(
    curves: Sequence[Curve],
    final: Curve,
    first: float,
    keep: float,
    draws: int = 60,
    orders: int = 100,
) -> NDArray[np.float64]:
    """Return by how much the best complete trial falls short, mean over orders and BUDGETS.

    Args:
        curves, final, first, keep: see `halve`; a first rung at 1 prunes nothing.
        draws: of trials with replacement.
        orders: in which each draw comes.

    Returns:
        (1 + draws,): of the trials themselves, then of each draw.
    """
    generator, count = np.random.default_rng(0), len(curves)
    samples = [range(count), *(generator.integers(0, count, count) for _ in range(draws))]
    pools = (([curves[k] for k in sample], [final[k] for k in sample]) for sample in samples)
    return np.array([_shortfall(pool, ends, first, keep, orders) for pool, ends in pools])


def ratio(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the ratio of two `shortfalls` and its central 95 % over the draws that have one."""
    found = np.divide(one, other, out=np.full(len(one), np.nan), where=other > 0)
    low, high = np.nanquantile(found[1:], [0.025, 0.975])
    return float(found[0]), float(low), float(high)


def _shortfall(
    curves: Sequence[Curve], final: Curve, first: float, keep: float, orders: int
) -> float:
    length, generator, found = len(curves[0]), np.random.default_rng(0), []
    budgets = [share * length * len(curves) for share in BUDGETS]
    for _ in range(orders):
        looks, best, spent = list[float](), min(final), 0
        for trial, end in _replay(curves, first, keep, generator.permutation(len(curves))):
            spent += end
            looks += [best for budget in budgets[len(looks) :] if spent > budget]
            if len(looks) == len(budgets):
                break
            if end == length:
                best = max(best, final[trial])
        found += [*looks, *[best] * (len(budgets) - len(looks))]  # all trials may cost less
    return float(max(final) - np.mean(found))


def _replay(
    curves: Sequence[Curve], first: float, keep: float, order: Iterable[int]
) -> Iterator[tuple[int, int]]:
    """Yield each trial and the epoch at which halving ends it, one after the other."""
    length = len(curves[0])
    levels = rungs(length, max(1, math.ceil(first * length)))
    seen: dict[int, list[float]] = {level: [] for level in levels}
    for trial in order:
        yield trial, _end(curves[trial], seen, keep)


def _end(curve: Curve, seen: dict[int, list[float]], keep: float) -> int:
    """Return the epoch at which halving stops a trial, and let the rungs remember it."""
    for level, values in seen.items():
        values.append(curve[level - 1])
        rank = 1 + sum(value > curve[level - 1] for value in values)
        if rank > math.ceil(len(values) * keep):
            return level
    return len(curve)


def correlations(title: str, rows: dict[str, Callable[[float], tuple[Curve, Curve]]]) -> Table:
    """Return a table: a row for each figure, a column for each part of the epochs."""
    table = Table(title=title, box=None)
    table.add_column("figure")
    for part in PARTS:
        table.add_column(part, justify="right")
    for name, look in rows.items():
        cells = []
        for share in PARTS.values():
            early, final = look(share)
            if not early:
                cells.append("-")
                continue
            low, high = interval(early, final)
            cells.append(f"{rank_correlation(early, final):.2f} ({low:.2f} to {high:.2f})")
        table.add_row(name, *cells)
    return table


def replays(title: str, arms: Mapping[str, tuple[Sequence[Curve], Curve]]) -> Table:
    """Return a table of halving over these curves."""
    table = Table(title=title, box=None)
    for name in ("curves", "first rung", "goes on", "epochs", "short of the best", "best lost"):
        table.add_column(name, justify="left" if name == "curves" else "right")
    table.add_column("over no pruning, same epochs", justify="right")
    for name, (curves, final) in arms.items():
        unpruned = shortfalls(curves, final, first=1, keep=1)
        for part in ("a tenth", "a fifth", "a third", "a half"):
            for keep in (1 / 3, 1 / 2, 2 / 3):
                spent, short, lost = halve(curves, final, PARTS[part], keep)
                over = ratio(shortfalls(curves, final, PARTS[part], keep), unpruned)
                cells = (f"{spent:.0%}", f"{short:.4f}", f"{lost:.0%}")
                shown = "{:.2f} ({:.2f} to {:.2f})".format(*over)
                table.add_row(name, part, f"{keep:.2f}", *cells, shown)
    return table
