"""Compare this project's search with plain random search, at the same CPU seconds, on digits.

    python benchmarks/against_random.py            # 5 seeds, 300 CPU seconds for each search
    python benchmarks/against_random.py --table    # what was measured so far

Both ways are those of `benchmarks/search.py`: "ours" is what `search.py` does unless told
otherwise, and random prunes nothing. Each search runs through the controller, one trial after the
other in this process and one thread, so that its CPU seconds can be counted: training, validation
and evaluation. Both begin with the recipe's default, so what each found beside it is shown too.
What each found best, the default or not, is then trained with three fresh seeds. Lines that are
there in `benchmarks/results/against-random.jsonl`, with the same settings, are not measured again.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import process_time as clock
from typing import TYPE_CHECKING, Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import optuna
from rich.console import Console
from rich.table import Table

from benchmarks.ways import usual
from pipeline import samplers
from pipeline.problem.problem import SearchProblem
from pipeline.study.controller import StudyController
from pipeline.study.events import EpochResult
from pipeline.study.queue import SampledQueue
from pipeline.study.storage import open_storage

if TYPE_CHECKING:
    from regmix.config import TrainConfig
    from regmix.images import Split

RESULTS = Path(__file__).parent / "results" / "against-random.jsonl"
SET: dict[str, Any] = {}  # of the recipe, as by `search.py --set`
WAYS = {way.name: way for way in usual() if way.name in ("random", "ours")}
FRESH = (1000, 1001, 1002)


def searched(way: str, seed: int, budget: float) -> dict[str, Any]:
    """Search for so many CPU seconds; return what was complete when, and the confirmed end."""
    problem = SearchProblem.load("wamr", "digits", SET).with_seed(seed)
    data = _data(problem.config({}))
    with tempfile.TemporaryDirectory() as folder:
        controller = _controller(way, seed, problem, Path(folder))
        controller.enqueue_default(problem.default())
        ended, epochs, trials = _search(controller, data, budget)
        complete = [trial for trial in controller.record.trials() if trial.state == "COMPLETE"]
        best = max(complete, key=lambda trial: trial.final.robust)
        config = problem.config(best.params)
    confirmed = [_trained(replace(config, seed=fresh), data) for fresh in FRESH]
    settings = WAYS[way].settings(config.epochs, config.eval_every)
    row = {"way": way, "settings": settings, "seed": seed, "budget": budget}
    counts = {"epochs": epochs, "trials": trials, "complete": ended}
    return {**row, **counts, "confirmed": confirmed}


def _data(config: "TrainConfig") -> "Split":
    from regmix.data.digits import digits

    return config.split(digits("train"))


def _controller(way: str, seed: int, problem: SearchProblem, folder: Path) -> StudyController:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=open_storage(None, folder), direction="maximize")
    config = problem.config({})
    pruner, options = WAYS[way].built(config.epochs, config.eval_every)
    sampler = samplers.factory(WAYS[way].searcher, seed, problem.space)
    queue = SampledQueue(study, None)
    return StudyController(study, problem, pruner, sampler, queue, **cast(Any, options))


def _search(
    controller: StudyController, data: "Split", budget: float
) -> tuple[list[tuple[float, float, int]], int, int]:
    """Return (CPU seconds, value, number) of each complete trial, epochs and ended trials."""
    import torch

    from regmix.training.trainer import RegMixTrainer

    begun, complete, epochs, trials = clock(), list[tuple[float, float, int]](), 0, 0
    while True:
        request = controller.ask()
        assert request is not None, "nothing else ends the search"
        for metrics in RegMixTrainer(request.config, data, torch.device("cpu")).epochs():
            if clock() - begun > budget:
                return complete, epochs, trials
            epochs += 1
            machine = {"device": "cpu", "threads": 1}
            outcome = controller.report(request.number, EpochResult(metrics, machine, {}))
            if outcome is None:
                continue
            controller.tell(request.number, outcome)
            trials += 1
            if outcome.state == "COMPLETE":
                value = controller.record.trial(request.number).final.robust
                complete.append((clock() - begun, value, request.number))
            break


def _trained(config: "TrainConfig", data: "Split") -> float:
    import torch

    from regmix.training.trainer import RegMixTrainer

    *_, last = RegMixTrainer(config, data, torch.device("cpu")).epochs()
    assert last.final is not None, "the last epoch is evaluated"
    return last.final.robust


def read() -> list[dict[str, Any]]:
    """Return the rows that were measured so far."""
    return (
        [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    )


def measured(seeds: int, budget: float) -> Iterator[dict[str, Any]]:
    """Yield a row for each search that is not known yet."""
    import torch

    torch.set_num_threads(1)
    epochs = SearchProblem.load("wamr", "digits", SET).config({}).epochs
    known = {(row["way"], row["settings"], row["seed"], row["budget"]) for row in read()}
    for seed in range(seeds):
        for name, way in WAYS.items():
            if (name, way.settings(epochs), seed, budget) not in known:
                yield searched(name, seed, budget)


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return a row for each seed, and the means."""
    found = {(row["way"], row["seed"]): row for row in rows}
    result = Table(box=None)
    result.add_column("seed")
    for way in WAYS:
        for title in (f"{way}: trials", "found", "searched", "confirmed"):
            result.add_column(title, justify="right")
    for title in ("random's best searched after", "ours reached it after"):
        result.add_column(title, justify="right")
    columns = list[list[float]]()
    for seed in sorted({seed for _, seed in found if all((way, seed) in found for way in WAYS)}):
        figures = [figure for way in WAYS for figure in _figures(found[way, seed])]
        columns.append(figures)
        when, goal = _best(found["random", seed])
        ours = found["ours", seed]["complete"]
        reached = [second for second, value, number in ours if number and value >= goal]
        ends = f"{when:.0f} s", f"{reached[0]:.0f} s" if reached else "not"
        result.add_row(str(seed), *_shown(figures, 3), *ends)
    means = [statistics.mean(column) for column in zip(*columns, strict=True)]
    result.add_row("mean", *_shown(means, 4), "", "")
    return result


def _figures(row: dict[str, Any]) -> list[float]:
    """Return trials, best value, best value beside the default's, mean of the fresh seeds."""
    best = max(value for _, value, _ in row["complete"])
    return [row["trials"], best, _best(row)[1], statistics.mean(row["confirmed"])]


def _best(row: dict[str, Any]) -> tuple[float, float]:
    """Return when the best trial beside the default ended, if there is one, and its value."""
    complete = [(second, value) for second, value, _ in row["complete"]]
    return max(complete[1:] or complete, key=lambda trial: trial[1])


def _shown(figures: Sequence[float], digits: int) -> list[str]:
    return [f"{f:.0f}" if k % 4 == 0 else f"{f:.{digits}f}" for k, f in enumerate(figures)]


def main(argv: Sequence[str]) -> int:
    """Measure, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=300.0, help="CPU seconds (default: 300)")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    args = parser.parse_args(argv)
    if not args.table:
        for row in measured(args.seeds, args.budget):
            with open(RESULTS, "a") as file:
                file.write(json.dumps(row) + "\n")
    Console(width=130).print(table(read()))
    print(
        "found: the best final_robust, on 400 validation images; searched: the best beside the "
        "recipe's default; confirmed: the best trained with 3 fresh seeds"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
