"""Part `against`: whole trials here and in another checkout, each with its own code and recipe.

Two processes take a configuration each in turn, so that what else the machine does falls on both.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.measures.clock import ratio
from benchmarks.measures.configurations import Point, drawn
from benchmarks.measures.setting import Budget, Row, Setting, skipped
from regmix.errors import InputError, shown
from regmix.evaluation.results import Proportion

HERE = Path(__file__).resolve().parents[2]
_SCRIPT = Path(__file__).with_name("trial_of_a_checkout.py")
_COUNT = 16
_AS_IT_IS: Mapping[str, Any] = MappingProxyType({})


def measure(setting: Setting, budget: Budget, count: int = _COUNT) -> Iterator[Row]:
    """Yield a row for each of `count` configurations, and then what they say together.

    Args:
        setting: folder of the other checkout.
        budget: time for all of them.
        count: number of configurations.

    Raises:
        InputError: where that folder holds no checkout.
    """
    if setting.against is None:
        yield skipped("another checkout", "none is named: --against FOLDER")
        return
    there = setting.against.resolve()
    if not (there / "regmix" / "training" / "trainer.py").is_file():
        raise InputError(
            f"command line: --against must be a checkout, but is {shown(str(there))}; name one"
        )
    rows: list[tuple[Row, Row]] = []
    with worker(there) as old, worker(HERE) as new:
        for number, point in enumerate(drawn(count)):
            if budget.left <= 0 and number >= 3:
                yield skipped(f"{count - number} of {count} configurations", "its time was up")
                break
            rows.append((trial(old, point), trial(new, point)))
            yield {"configuration": number, "space": point[0], **_columns(*rows[-1])}
    yield summary(rows)


def _columns(there: Row, here: Row) -> Row:
    names = {"seconds": "CPU s", "robust": "final_robust"}
    return {
        f"{title} {place}": row[key]
        for key, title in names.items()
        for place, row in (("there", there), ("here", here))
    }


def summary(rows: list[tuple[Row, Row]]) -> Row:
    """Return what the trials of both checkouts say together.

    Args:
        rows: those of a configuration there and here, with `seconds`, `robust`, `hits`, `count`.
    """
    from benchmarks.curves import interval, rank_correlation  # loads what a card may lack

    there, here = ([row[place] for row in rows] for place in range(2))
    faster = ratio([row["seconds"] for row in there], [row["seconds"] for row in here])
    robust = [[row["robust"] for row in group] for group in (there, here)]
    low, high = interval(robust[0], robust[1])
    return {
        "configurations": len(rows),
        "CPU s there": statistics.mean(row["seconds"] for row in there),
        "CPU s here": statistics.mean(row["seconds"] for row in here),
        "times there": faster.median,
        "least": faster.least,
        "most": faster.most,
        "Spearman": rank_correlation(*robust),
        "from": low,
        "to": high,
        "more robust by": statistics.mean(robust[1]) - statistics.mean(robust[0]),
        "above its interval": sum(_above(*pair) for pair in rows),
    }


def _above(there: Row, here: Row) -> bool:
    """Return whether a configuration is judged more robust here than its interval there allows."""
    return bool(here["robust"] > Proportion(there["hits"], there["count"]).interval[1])


@contextmanager
def worker(root: Path) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that trains with the code of a checkout."""
    command = [sys.executable, "-P", str(_SCRIPT), str(root)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=root) as process:
        try:
            yield process
        finally:
            process.kill()


def trial(
    process: "subprocess.Popen[str]", point: Point, changes: Mapping[str, Any] = _AS_IT_IS
) -> dict[str, Any]:
    """Let a checkout's process train and judge a configuration.

    Args:
        process: one of `worker`.
        point: space and parameters.
        changes: values that replace those of the checkout's recipe.
    """
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(json.dumps([*point, dict(changes)]) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise RuntimeError("a checkout's process ended; its error stands above")
    row: dict[str, Any] = json.loads(line)
    return row
