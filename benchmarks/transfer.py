"""What a search gains from an earlier study of another task, and loses by a misleading one.

    python benchmarks/transfer.py --surrogate FOLDER
    python benchmarks/transfer.py --surrogate FOLDER --tasks untouched --seeds 3
    python benchmarks/transfer.py --tasks untouched --table   # prints what was measured so far

Each task of LCBench's surrogate is searched as it is (cold), and with `--from` a study of another
task: the most alike (related), the least alike (unlike), and the related one with 1 - accuracy
(inverted), where alike means the rank correlation of the last accuracies of 2,000 random
configurations, among the tasks of the same group. Every study, sources too, has a budget of 20
full trainings. Every search stands as one line in --out; lines that are there are not measured
again, so begin another file for another code. Tune on the tasks `tuning`, evaluate on the others
once.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import optuna

from benchmarks.lcbench import LCBenchTask, Surrogate, choose, read_references, references
from benchmarks.regret import SHARES, mean, ratio, regrets
from benchmarks.search import REFERENCES, WORKERS, read
from benchmarks.simulated import Outcome, Task, Trained, simulate
from benchmarks.ways import Controlled, Way, usual
from pipeline.base.cli import Parser, run
from pipeline.forecast.sources import copied
from pipeline.problem.space import SearchSpace
from pipeline.study.records import StudyRecord
from pipeline.study.warm_start import enqueue_sources
from regmix.errors import InputError
from regmix.ranges import Value

RESULTS = Path(__file__).parent / "results" / "transfer.jsonl"
COLD, RELATED, UNLIKE, INVERTED = "cold", "related", "unlike", "inverted"
CONFIGURATIONS = 2000  # by whose last accuracies tasks are called alike
SOURCE_SEED = 100  # of the sources' searches, apart from those of the targets
THIRD = next(place for place, share in enumerate(SHARES) if share >= 1 / 3)


@dataclass(frozen=True)
class Inverted:
    """A task on which the worst configurations are the best."""

    inner: LCBenchTask

    @property
    def space(self) -> SearchSpace:
        """Return the space of all tasks."""
        return self.inner.space

    @property
    def epochs(self) -> int:
        """Return the length of a full training."""
        return self.inner.epochs

    @property
    def eval_every(self) -> int:
        """Return 1."""
        return self.inner.eval_every

    @property
    def trainings(self) -> int:
        """Return the budget."""
        return self.inner.trainings

    def trained(self, params: Mapping[str, Value]) -> Trained:
        """Return a training whose every value is one minus that of the other task."""
        found = self.inner.trained(params)
        curve = [None if value is None else 1 - value for value in found.curve]
        return Trained(curve, 1 - found.final, 1 - found.worth)


def alike(surrogate: Surrogate, tasks: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return (tasks, tasks) rank correlations of the last accuracies of random configurations."""
    from scipy.stats import rankdata

    cube = np.random.default_rng(1).random((CONFIGURATIONS, len(surrogate.space.ranges)))
    found = [surrogate.final(task, cube) for task in tasks]
    return np.corrcoef(rankdata(np.stack(found), axis=1))


def sources(surrogate: Surrogate, tasks: Sequence[str]) -> dict[str, dict[str, tuple[str, float]]]:
    """Return task -> kind of source -> the source's task and its rank correlation."""
    table, found = alike(surrogate, tasks), dict[str, dict[str, tuple[str, float]]]()
    for place, task in enumerate(tasks):
        others = [other for other in range(len(tasks)) if other != place]
        near = max(others, key=lambda other: table[place, other])
        far = min(others, key=lambda other: table[place, other])
        found[task] = {
            RELATED: (tasks[near], float(table[place, near])),
            UNLIKE: (tasks[far], float(table[place, far])),
            INVERTED: (tasks[near], -float(table[place, near])),
        }
    return found


def searched(way: Way, task: Task, seed: int) -> StudyRecord:
    """Return the study of a search to its end."""
    method = cast(Controlled, way.method(task, seed))
    simulate(method, task, WORKERS, SHARES)
    return StudyRecord(method.controller.study)


def search(way: Way, task: Task, seed: int, source: StudyRecord | None) -> Outcome:
    """Search a task, begun from a source where there is one, as `--from` does."""
    method = cast(Controlled, way.method(task, seed))
    if source is not None:
        target = StudyRecord(method.controller.study)
        target.begin_from(copied([source], task.space, task.trainings))
        enqueue_sources(target, task.space)
    return simulate(method, task, WORKERS, SHARES)


class Bench:
    """Searches tasks of one group, and remembers."""

    def __init__(
        self, surrogate: Surrogate, tasks: Sequence[str], out: Path, noise: float, group: str
    ) -> None:
        """Find each task's sources, and read what was measured before."""
        self.tasks = {task: LCBenchTask(surrogate, task, noise) for task in tasks}
        self.sources, self.out, self.way = sources(surrogate, tasks), out, usual()[-1]
        rows = [row for row in read(out) if row["group"] == group]
        self.known, self.group = {(row["task"], row["seed"], row["way"]) for row in rows}, group
        self._studies: dict[tuple[str, bool], StudyRecord] = {}

    def measure(self, kinds: Sequence[str], seeds: int) -> None:
        """Write a row for each kind of source, task and seed that the file has not."""
        with self.out.open("a") as file:
            for seed in range(seeds):
                for name, task in self.tasks.items():
                    for kind in kinds:
                        if (name, seed, kind) in self.known:
                            continue
                        outcome = search(self.way, task, seed, self._source(name, kind))
                        last = [round(value, 5) for value in outcome.last]
                        row = {"task": name, "seed": seed, "way": kind, "group": self.group}
                        row |= {"last": last, "trials": outcome.trials}
                        file.write(json.dumps(row, separators=(",", ":")) + "\n")
                        file.flush()

    def _source(self, task: str, kind: str) -> StudyRecord | None:
        if kind == COLD:
            return None
        key = self.sources[task][kind][0], kind == INVERTED
        if key not in self._studies:
            whole = self.tasks[key[0]]
            one: Task = Inverted(whole) if key[1] else whole
            self._studies[key] = searched(self.way, one, SOURCE_SEED)
        return self._studies[key]


def show(rows: Sequence[Mapping[str, Any]], place: Path) -> None:
    """Print mean regrets, and what each source means beside the cold search."""
    found = regrets(rows, read_references(place), "last")
    cold = found[COLD]
    for kind, own in found.items():
        middle, error = mean(own)
        at = (4, THIRD, 9, 14, 19)
        texts = (f"{middle[i]:.3f} ({error[i]:.3f})" for i in at)
        print(f"{kind:9} n {len(own)}  " + "  ".join(texts))
        if kind != COLD:
            pairs = cold.keys() & own.keys()
            beside = ratio(own, cold)[:, -1]
            third = np.mean([own[key][THIRD] for key in pairs])
            end = np.mean([cold[key][-1] for key in pairs])
            print(
                f"          a third in: {third:.3f}, cold at its end: {end:.3f}; ratio of the ends "
                f"{beside[0]:.2f} ({beside[1]:.2f} to {beside[2]:.2f})"
            )


def _group(args: argparse.Namespace) -> str:
    """Return what tells these searches from others: a source is one of the same group."""
    return f"{' '.join(args.tasks)} noise {args.noise}"


def _parse(words: Sequence[str]) -> argparse.Namespace:
    parser = Parser("transfer.py", __doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--surrogate", type=Path, help="folder of LCBench's surrogate")
    parser.add_argument("--tasks", nargs="+", default=["tuning"], help="untouched, tuning, or ids")
    parser.add_argument("--kinds", nargs="+", default=[COLD, RELATED, UNLIKE, INVERTED])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--noise", type=float, default=0.0, help="deviation of a look")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--references", type=Path, default=REFERENCES)
    parser.add_argument("--table", action="store_true", help="print what was measured so far")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Measure what is not known yet, then print the table."""
    args = _parse(words)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not args.table:
        surrogate = Surrogate.load(args.surrogate)
        tasks = choose(args.tasks, surrogate.tasks)
        if len(tasks) < 2:
            raise InputError("--tasks: must be two at least, since one is the other's source")
        references(surrogate, tasks, args.references)
        Bench(surrogate, tasks, args.out, args.noise, _group(args)).measure(args.kinds, args.seeds)
    rows = [row for row in read(args.out) if row["group"] == _group(args)]
    if not rows:
        raise InputError(f"{args.out}: has no searches yet; name the surrogate by --surrogate")
    show(rows, args.references)
    return 0


if __name__ == "__main__":
    sys.exit(run("transfer", lambda words: main(list(words))))
