"""Replay the rule for catastrophic overfitting on logs of real training runs.

    python benchmarks/collapse.py FOLDER

FOLDER holds logs as JSON, such as those of FastAT_Benchmark: a method's name -> its runs, each
with `seed` and, epoch by epoch, `model_fgsm_acc_list` and `model_pgd_acc_list` in [0, 1].
A real collapse is told without the rule: accuracy under PGD-10 falls by more than 0.10 in one
epoch after the warm-up. The rule knows nothing of falls, so each can be held against the other.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from pipeline.base.cli import Parser, run
from regmix.errors import InputError
from regmix.training.catastrophic_overfitting import WARM_UP, co_detected, co_ratio

FALL = 0.10
CURVES = ("model_fgsm_acc_list", "model_pgd_acc_list")


@dataclass(frozen=True)
class Replayed:
    """What a run's log says, and what the rule would have said; epochs from 1, 0 for none."""

    name: str
    autoattack: float | None  # percent, of the finished run
    fell: int  # the first epoch of a real collapse
    flagged: int  # the first epoch in which the rule speaks
    lowest: float  # ratio of the two accuracies after the warm-up


def replay(place: str, method: str, log: dict[str, Any]) -> Replayed:
    """Ask the rule about each epoch of one run.

    Raises:
        InputError: for a log without curves, or with curves that can't be shares epoch by epoch.
    """
    name = f"{method}, seed {log.get('seed', '?')}"
    fgsm, pgd = (log.get(curve) for curve in CURVES)
    if not (_is_curve(fgsm) and _is_curve(pgd) and len(fgsm) == len(pgd)):
        raise InputError(
            f"{place}: {name}: {' and '.join(CURVES)} must be lists of as many shares in [0, 1]; "
            "correct the log"
        )
    count = len(pgd)
    late = [epoch for epoch in range(2, count + 1) if epoch > WARM_UP * count]
    fell = [epoch for epoch in late if pgd[epoch - 2] - pgd[epoch - 1] > FALL]
    epochs = range(1, count + 1)
    best = [max(pgd[: e - 1], default=0.0) for e in epochs]
    flagged = [e for e in epochs if co_detected(e, count, fgsm[e - 1], pgd[e - 1], best[e - 1])]
    return Replayed(
        name,
        autoattack=log.get("autoattack_acc"),
        fell=next(iter(fell), 0),
        flagged=next(iter(flagged), 0),
        lowest=min(co_ratio(fgsm[e - 1], pgd[e - 1]) for e in late),
    )


def _is_curve(values: object) -> TypeGuard[list[float]]:
    return (
        isinstance(values, list)
        and len(values) > 1
        and all(isinstance(value, int | float) and 0 <= value <= 1 for value in values)
    )


def read(path: Path) -> list[Replayed]:
    """Replay each run of a file.

    Raises:
        InputError: for a file that holds no such logs.
    """
    try:
        logs = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: must be logs as JSON, but {error}; correct the file") from None
    groups = list(logs.values()) if isinstance(logs, dict) else [None]
    if not all(
        isinstance(runs, list) and all(isinstance(r, dict) for r in runs) for runs in groups
    ):
        raise InputError(f"{path}: must map each method to a list of runs; correct the file")
    return [replay(str(path), method, log) for method, runs in logs.items() for log in runs]


def table(files: dict[str, list[Replayed]]) -> Table:
    """Return the counts of each file and of all together."""
    total = [run for runs in files.values() for run in runs]
    result = Table(box=None)
    result.add_column("log")
    for title in ("runs", "collapses", "flagged", "in that epoch", "others flagged", "lowest"):
        result.add_column(title, justify="right")
    for name, runs in [*files.items(), ("all", total)]:
        real = [run for run in runs if run.fell]
        counts = (
            len(runs),
            len(real),
            sum(run.flagged > 0 for run in real),
            sum(run.flagged == run.fell for run in real),
            sum(run.flagged > 0 for run in runs if not run.fell),
        )
        lowest = min((run.lowest for run in runs if not run.flagged), default=None)
        cells = [*map(str, counts), "-" if lowest is None else f"{lowest:.2f}"]
        result.add_row(name, *cells)
    return result


def main(argv: Sequence[str]) -> int:
    """Print the counts, then each run that was flagged without a real collapse."""
    parser = Parser("collapse.py", __doc__)
    parser.add_argument("folder", type=Path, help="holds the logs, *.json")
    folder = parser.parse_args(argv).folder
    paths = sorted(folder.glob("*.json"))
    if not paths:
        raise InputError(f"{folder}: must be a folder that holds logs, *.json; name another")
    files = {path.stem: read(path) for path in paths}
    console = Console(width=100)
    console.print(table(files))
    print("lowest: least accuracy under PGD over that under FGSM, of runs that were not flagged")
    for name, runs in files.items():
        for found in (one for one in runs if one.flagged and not one.fell):
            end = (
                ""
                if found.autoattack is None
                else f", AutoAttack at the end {found.autoattack:.2f} %"
            )
            print(f"flagged without a fall: {name}: {found.name}, epoch {found.flagged}{end}")
    return 0


if __name__ == "__main__":
    sys.exit(run("collapse", main))
