"""Replay searches over tables of real adversarial trainings, which are chosen from alone.

    python benchmarks/replays.py [--curves FOLDER] [--ways NAME...] [--orders 40]

Tables: `benchmarks/results/trainings-*.jsonl` (made by `benchmarks/trainings.py`), `rungs-*.jsonl`
(by `benchmarks/rungs.py`), and public logs of fast adversarial training in --curves. A search may
take each row once; its budget is a number of full trainings. What counts is the true value of the
trial that a user would pick, the best complete one: the mean of validation and test images where
there are both.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import optuna
from rich.console import Console
from rich.table import Table

from benchmarks import rungs
from benchmarks.pool import PoolTask, Row
from benchmarks.simulated import simulate
from benchmarks.trainings import read
from benchmarks.ways import Way
from pipeline.problem.problem import SearchProblem
from pipeline.problem.space import Choice, SearchSpace

RESULTS = Path(__file__).parent / "results"
SHARES = (0.25, 0.5, 0.75, 1.0)
WAYS = (
    "random=random+none",
    "random+halving=random+halving",
    "bohb=bohb+halving",
    "freeze=freeze+freeze",
)


def own(path: Path, trainings: int = 20) -> PoolTask:
    """Return a table of `benchmarks/trainings.py`."""
    _, space, recipe = path.stem.split("-", 2)
    problem = SearchProblem.load(space, recipe, {})
    config = problem.config({})
    rows = []
    for row in read(path).values():
        if row["number"] == 0 or "failed" in row:
            continue
        curve = [row["values"].get(str(epoch)) for epoch in range(1, config.epochs + 1)]
        worth = (row["robust"] + row["test_robust"]) / 2
        rows.append(Row(row["params"], curve, row["robust"], worth))
    return PoolTask(path.stem, rows, problem.space, config.epochs, config.eval_every, trainings)


def of_rungs(data: str) -> PoolTask:
    """Return the trainings of `benchmarks/rungs.py` at full length, in two schedules."""
    problem = SearchProblem.load("wamr", data, {})
    known = rungs.read(data)
    epochs = max(row["epochs"] for row in known)
    drawn = rungs.configurations(data, 1 + max(row["number"] for row in known), None)
    schedules = ("cosine", "trapezoid")
    ranges = {**problem.space.ranges, "schedule": Choice(schedules)}
    rows = [
        Row(
            {name: drawn[row["number"]][name] for name in problem.space.ranges}
            | {"schedule": row["schedule"]},
            row["averaged"],
            row["final_robust"],
            row["final_robust"],
        )
        for row in known
        if row["epochs"] == epochs and row["number"] and row["final_robust"] is not None
    ]
    space = SearchSpace(f"rungs-{data}", "", {}, ranges, "")
    return PoolTask(space.name, rows, space, epochs, 1, 8)


def public(folder: Path) -> Iterator[PoolTask]:
    """Yield the public logs: the method is a choice, the end AutoAttack."""
    for path in sorted(folder.glob("*.json")):
        logs = [
            (method, log)
            for method, runs in json.loads(path.read_text()).items()
            for log in runs
            if log.get("autoattack_acc") and len(log.get("wa_pgd_acc_list") or ()) == 100
        ]
        methods = tuple(sorted({method for method, _ in logs}))
        ranges = {"method": Choice(methods)}
        space = SearchSpace(f"public-{path.stem}", "", {}, ranges, "")
        rows = [
            Row(
                {"method": method},
                log["wa_pgd_acc_list"],
                log["autoattack_acc"] / 100,
                log["autoattack_acc"] / 100,
            )
            for method, log in logs
        ]
        yield PoolTask(space.name, rows, space, 100, 1, 10)


def tables(folder: Path | None) -> list[PoolTask]:
    """Return all tables that there are."""
    found = [own(path) for path in sorted(RESULTS.glob("trainings-*.jsonl"))]
    found += [of_rungs(path.stem.removeprefix("rungs-")) for path in RESULTS.glob("rungs-*.jsonl")]
    return found + (list(public(folder)) if folder else [])


def replayed(task: PoolTask, way: Way, orders: int, workers: int) -> np.ndarray:
    """Return (orders, shares) true values of what is best complete at shares of the budget."""
    found = []
    for order in range(orders):
        fresh = replace(task, used=set())
        found.append(simulate(way.method(fresh, order), fresh, workers, SHARES).complete)
    return np.array(found)


def main(words: Sequence[str]) -> int:
    """Print a table for each table of trainings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--curves", type=Path, help="folder of public logs, *.json")
    parser.add_argument("--ways", nargs="+", default=WAYS)
    parser.add_argument("--orders", type=int, default=40)
    parser.add_argument("--workers", nargs="+", type=int, default=[2, 8])
    parser.add_argument("--tables", nargs="*", help="only these")
    args = parser.parse_args(words)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    for task in tables(args.curves):
        if args.tables and task.name not in args.tables:
            continue
        for workers in args.workers:
            size = f"{len(task.rows)} rows, {task.trainings} trainings"
            title = f"{task.name}: {size}, {workers} workers"
            table = Table("way", *(f"{share:.0%}" for share in SHARES), "over halving", title=title)
            base = None
            for way in map(Way.parse, args.ways):
                found = replayed(task, way, args.orders, workers)
                base = found if way.name == "random+halving" else base
                gain = "" if base is None else shown(found[:, -1] - base[:, -1])
                table.add_row(way.name, *(f"{value:.4f}" for value in found.mean(axis=0)), gain)
            Console(width=120).print(table)
    return 0


def shown(gains: np.ndarray) -> str:
    """Return mean and standard error."""
    return f"{gains.mean():+.4f} ({gains.std(ddof=1) / len(gains) ** 0.5:.4f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
