"""Compare ways of searching on LCBench's surrogate, in seconds instead of GPU days.

    make bench-search LCBENCH=FOLDER
    make bench-search ARGS=--table                     # prints what was measured so far
    python benchmarks/search.py --surrogate FOLDER --tasks tuning --seeds 3 \\
        --ways ray ours --way early=tpe+halving:rungs=3/6/12/24/48,keep=0.25

8 workers share a budget of 20 full trainings. Every search stands as one line in --out; lines that
are there are not measured again; with --noise give an --out of its own. Tune on the tasks `tuning`,
evaluate on the others once.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

import optuna

from benchmarks.lcbench import LCBenchTask, Surrogate, choose, read_references, references
from benchmarks.regret import SHARES, regrets, show
from benchmarks.simulated import Task, simulate
from benchmarks.ways import BASELINE, RAY, Way, usual
from pipeline.base.cli import Parser, run
from regmix.errors import InputError, unknown

RESULTS = Path(__file__).parent / "results"
REFERENCES = RESULTS / "search-lcbench-references.jsonl"
WORKERS = 8


def read(place: Path) -> list[dict[str, Any]]:
    """Return the searches that a file has; a line that a kill cut short is none."""
    if not place.exists():
        return []
    text = place.read_text()
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def latest(rows: Sequence[dict[str, Any]], tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows on these tasks; of a way whose settings changed, those of its last."""
    settings = {row["way"]: row["settings"] for row in rows}
    return [r for r in rows if r["task"] in tasks and r["settings"] == settings[r["way"]]]


def measure(
    tasks: Mapping[str, Task], ways: Sequence[Way], seeds: int, out: Path, until: float
) -> bool:
    """Write a row for each way, task and seed that the file has not.

    Args:
        tasks: by name.
        ways: to measure.
        seeds: as many, from 0; every way meets a seed's tasks before the next seed begins.
        out: file of rows.
        until: time.monotonic() at which to stop.

    Returns:
        whether everything is measured.
    """
    rows = read(out)
    out.write_text("".join(map(_line, rows)))
    known = {(row["task"], row["seed"], row["way"], row["settings"]) for row in rows}
    with out.open("a") as file:
        for seed in range(seeds):
            for name, task in tasks.items():
                for way in ways:
                    key = (name, seed, way.name, way.settings(task.epochs))
                    if key in known:
                        continue
                    if time.monotonic() > until:
                        return False
                    row = dict(zip(("task", "seed", "way", "settings"), key, strict=True))
                    file.write(_line(row | _search(way, task, seed)))
                    file.flush()
            print(f"seed {seed}: measured", flush=True)
    return True


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, separators=(",", ":")) + "\n"


def _search(way: Way, task: Task, seed: int) -> dict[str, Any]:
    outcome = simulate(way.method(task, seed), task, WORKERS, SHARES)
    values = vars(outcome)
    return {
        key: [round(each, 5) for each in value] if isinstance(value, list) else value
        for key, value in values.items()
    }


def _parse(words: Sequence[str]) -> tuple[argparse.Namespace, list[Way]]:
    parser = Parser("search.py", __doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--surrogate", help="folder of LCBench's surrogate")
    parser.add_argument("--tasks", nargs="+", default=["untouched"], help="untouched, tuning, ids")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--noise", type=float, default=0.0, help="of a look, standard deviation")
    parser.add_argument("--ways", nargs="*", help="of the usual ways: only these")
    parser.add_argument("--way", action="append", default=[], help="NAME=SAMPLER+PRUNER[:OPTIONS]")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="then stop")
    parser.add_argument("--incumbent", choices=("last", "complete"), default="last")
    parser.add_argument("--out", type=Path, default=RESULTS / "search-lcbench.jsonl")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    args = parser.parse_args(words)
    ways = {way.name: way for way in usual()}
    for name in args.ways or ():
        if name not in ways:
            raise unknown("--ways", "way", name, ways)
    chosen = [ways[name] for name in (ways if args.ways is None else args.ways)]
    return args, chosen + [Way.parse(text) for text in args.way]


def main(words: Sequence[str]) -> int:
    """Measure what is missing, then print all that the file has on these tasks."""
    args, ways = _parse(words)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    done = True
    if not args.table:
        surrogate = Surrogate.load(Path(args.surrogate) if args.surrogate else None)
        names = choose(args.tasks, surrogate.tasks)
        references(surrogate, names, REFERENCES)
        tasks = {name: LCBenchTask(surrogate, name, args.noise) for name in names}
        done = measure(tasks, ways, args.seeds, args.out, time.monotonic() + 60 * args.minutes)
    known = read_references(REFERENCES)
    rows = latest(read(args.out), choose(args.tasks, list(known)))
    if not rows:
        raise InputError(f"{args.out}: has no search on these tasks; measure without --table")
    show(regrets(rows, known, args.incumbent), RAY, BASELINE)
    if not done:
        print("the time is over; the same command goes on")
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(run("search", main))
