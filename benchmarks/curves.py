"""What early parts of learning curves tell of their ends: correlations, and halving replayed."""

import math
from collections.abc import Callable, Sequence

import numpy as np
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
    levels = rungs(length, max(1, math.ceil(first * length)))
    spent, short, lost = [], [], 0
    for _ in range(shuffles):
        seen: dict[int, list[float]] = {level: [] for level in levels}
        epochs, kept = 0, []
        for trial in generator.permutation(len(curves)):
            end = _end(curves[trial], seen, keep)
            epochs += end
            if end == length:
                kept.append(final[trial])
        spent.append(epochs / (length * len(curves)))
        short.append(max(final) - max(kept))
        lost += max(kept) < max(final)
    return float(np.mean(spent)), float(np.mean(short)), lost / shuffles


def against_unpruned(
    curves: Sequence[Curve],
    final: Curve,
    first: float,
    keep: float,
    draws: int = 60,
    orders: int = 100,
) -> tuple[float, float, float]:
    """Compare halving with training each trial to its end, at the same number of epochs.

    Args:
        curves, final, first, keep: see `halve`.
        draws: of trials with replacement.
        orders: in which each draw comes.

    Returns:
        By how much the best falls short with halving, over the same without, means over orders and
        BUDGETS; and the ratio's central 95 % over draws. Below 1 halving pays.
    """
    length, generator = len(curves[0]), np.random.default_rng(0)
    levels = rungs(length, max(1, math.ceil(first * length)))
    ratios = []
    for draw in range(1 + draws):
        drawn = generator.integers(0, len(curves), len(curves)) if draw else range(len(curves))
        pool, ends = [curves[trial] for trial in drawn], [final[trial] for trial in drawn]
        pruned, whole = (_short(pool, ends, at, keep, orders) for at in (levels, ()))
        if whole > 0:
            ratios.append(pruned / whole)
    low, high = np.quantile(ratios[1:], [0.025, 0.975])
    return ratios[0], float(low), float(high)


def _short(
    curves: Sequence[Curve], final: Curve, levels: Sequence[int], keep: float, orders: int
) -> float:
    """Return by how much the best complete trial falls short of the best of all at BUDGETS."""
    length, generator, found = len(curves[0]), np.random.default_rng(0), []
    for _ in range(orders):
        seen: dict[int, list[float]] = {level: [] for level in levels}
        looks, best, spent = list[float](), min(final), 0
        for trial in generator.permutation(len(curves)):
            end = _end(curves[trial], seen, keep)
            spent += end
            if spent > BUDGETS[len(looks)] * length * len(curves):
                looks.append(best)
            if len(looks) == len(BUDGETS):
                break
            if end == length:
                best = max(best, final[trial])
        found += [*looks, *[best] * (len(BUDGETS) - len(looks))]
    return float(max(final) - np.mean(found))


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
        for part in PARTS.values():
            early, final = look(part)
            if not early:
                cells.append("-")
                continue
            low, high = interval(early, final)
            cells.append(f"{rank_correlation(early, final):.2f} ({low:.2f} to {high:.2f})")
        table.add_row(name, *cells)
    return table


def replays(title: str, arms: dict[str, tuple[Sequence[Curve], Curve]]) -> Table:
    """Return a table of halving over these curves."""
    table = Table(title=title, box=None)
    for name in ("curves", "first rung", "goes on", "epochs", "short of the best", "best lost"):
        table.add_column(name, justify="left" if name == "curves" else "right")
    table.add_column("over no pruning, same epochs", justify="right")
    for name, (curves, final) in arms.items():
        for part in ("a tenth", "a fifth", "a third", "a half"):
            for keep in (1 / 3, 1 / 2, 2 / 3):
                spent, short, lost = halve(curves, final, PARTS[part], keep)
                ratio = "{:.2f} ({:.2f} to {:.2f})".format(
                    *against_unpruned(curves, final, PARTS[part], keep)
                )
                cells = (f"{spent:.0%}", f"{short:.4f}", f"{lost:.0%}", ratio)
                table.add_row(name, part, f"{keep:.2f}", *cells)
    return table
