"""What early parts of learning curves tell of their ends: correlations, and halving replayed."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from rich.table import Table

from pipeline.pruners.halving import rungs

PARTS = {"a tenth": 0.1, "a fifth": 0.2, "a third": 1 / 3, "a half": 0.5, "7 tenths": 0.7}
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
    for name, (curves, final) in arms.items():
        for part in ("a tenth", "a fifth", "a third"):
            for keep in (1 / 3, 1 / 2):
                spent, short, lost = halve(curves, final, PARTS[part], keep)
                cells = (f"{spent:.0%}", f"{short:.4f}", f"{lost:.0%}")
                table.add_row(name, part, f"{keep:.2f}", *cells)
    return table
