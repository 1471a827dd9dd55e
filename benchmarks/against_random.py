"""Compare this project's search with plain random search, at the same CPU seconds, on digits.

    python benchmarks/against_random.py            # 5 seeds, 150 CPU seconds for each search
    python benchmarks/against_random.py --table    # what was measured so far

"Ours" samples by TPE here, whose first ten trials are random: so short a search has little use for
a sampler, and tests the pruner. Each search runs through the bridge, one trial after the other in
this process and one thread, so that its CPU seconds can be counted: training, validation and
judgement. What each found best is then trained with three fresh seeds. Lines that are there in
`benchmarks/results/against-random.jsonl` are not measured again.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pipeline.bridge import StudyBridge
    from regmix.config import TrainConfig
    from regmix.images import Split

RESULTS = Path(__file__).parent / "results" / "against-random.jsonl"
SET: dict[str, Any] = {}  # of the recipe, as by `search.py --set`
WAYS = {"random": ("random", "none"), "ours": ("tpe", "collapse+halving")}
FRESH = (1000, 1001, 1002)


def searched(way: str, seed: int, budget: float) -> dict[str, Any]:
    """Search for so many CPU seconds; return the incumbents over time and the confirmed end."""
    from pipeline.question import Question

    question = Question.load("wamr", "digits", SET).with_seed(seed)
    data = _data(question.config({}))
    with tempfile.TemporaryDirectory() as folder:
        bridge = _bridge(way, seed, question, Path(folder))
        bridge.begin()
        path, epochs, trials = _search(bridge, data, budget)
        best = max(
            (t for t in bridge.study.get_trials() if t.state.name == "COMPLETE"),
            key=lambda trial: trial.value or 0.0,
        )
        config = question.config(best.params)
    confirmed = [_trained(replace(config, seed=fresh), data) for fresh in FRESH]
    row = {"way": way, "seed": seed, "budget": budget, "epochs": epochs, "trials": trials}
    return {**row, "path": path, "default": best.number == 0, "confirmed": confirmed}


def _data(config: "TrainConfig") -> "Split":
    from regmix.data.digits import digits
    from regmix.images import split

    images = digits("train")
    return split(images, valid=config.valid_images, train=config.train_images, seed=0)


def _bridge(way: str, seed: int, question: Any, folder: Path) -> "StudyBridge":  # noqa: ANN401
    import optuna

    from pipeline import pruners
    from pipeline.bridge import StudyBridge
    from pipeline.store import open_storage

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler, pruner = WAYS[way]
    study = optuna.create_study(storage=open_storage(None, folder), direction="maximize")
    rule = pruners.build(pruner, question.config({}).epochs)
    return StudyBridge(study, question, rule, sampler, seed, trials=10**6, probes=12)


def _search(
    bridge: "StudyBridge", data: "Split", budget: float
) -> tuple[list[tuple[float, float]], int, int]:
    """Return (CPU seconds, best value so far) at each improvement, epochs and ended trials."""
    import torch

    from regmix.trainer import RegMixTrainer

    begun, path, epochs, trials = time.process_time(), list[tuple[float, float]](), 0, 0
    while True:
        request = bridge.ask()
        assert request is not None, "nothing else ends the search"
        for metrics in RegMixTrainer(request.config, data, torch.device("cpu")).epochs():
            if time.process_time() - begun > budget:
                return path, epochs, trials
            epochs += 1
            ending = bridge.report(request.number, metrics, {"device": "cpu", "threads": 1})
            if ending is None:
                continue
            bridge.tell(request.number, ending)
            trials += 1
            value = bridge.frozen(request.number).value or 0.0
            if ending.state == "COMPLETE" and (not path or value > path[-1][1]):
                path.append((time.process_time() - begun, value))
            break


def _trained(config: "TrainConfig", data: "Split") -> float:
    import torch

    from regmix.trainer import RegMixTrainer

    *_, last = RegMixTrainer(config, data, torch.device("cpu")).epochs()
    assert last.judged is not None, "the last epoch is judged"
    return last.judged.robust


def read() -> list[dict[str, Any]]:
    """Return the rows that were measured so far."""
    return (
        [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    )


def measured(seeds: int, budget: float) -> Iterator[dict[str, Any]]:
    """Yield a row for each search that is not known yet."""
    import torch

    torch.set_num_threads(1)
    known = {(row["way"], row["seed"], row["budget"]) for row in read()}
    for seed in range(seeds):
        for way in WAYS:
            if (way, seed, budget) not in known:
                yield searched(way, seed, budget)


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return a row for each seed, and the means."""
    found = {(row["way"], row["seed"]): row for row in rows}
    result = Table(box=None)
    titles = ("seed", "random: trials", "found", "confirmed", "ours: trials", "found", "confirmed")
    for title in (*titles, "random's best after", "ours reached it after"):
        result.add_column(title, justify="right")
    confirmed: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in sorted({seed for _, seed in found}):
        cells = [str(seed)]
        for way in WAYS:
            row = found[way, seed]
            mean = statistics.mean(row["confirmed"])
            confirmed[way].append(mean)
            star = "*" if row["default"] else ""
            cells += [str(row["trials"]), f"{row['path'][-1][1]:.3f}{star}", f"{mean:.3f}"]
        when, best = found["random", seed]["path"][-1]
        reached = [second for second, value in found["ours", seed]["path"] if value >= best]
        result.add_row(*cells, f"{when:.0f} s", f"{reached[0]:.0f} s" if reached else "not")
    means = [statistics.mean(confirmed[way]) for way in WAYS]
    result.add_row("mean", "", "", f"{means[0]:.4f}", "", "", f"{means[1]:.4f}", "", "")
    return result


def main(argv: Sequence[str]) -> int:
    """Measure, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=150.0, help="CPU seconds (default: 150)")
    parser.add_argument("--table", action="store_true", help="measure nothing")
    args = parser.parse_args(argv)
    if not args.table:
        for row in measured(args.seeds, args.budget):
            with open(RESULTS, "a") as file:
                file.write(json.dumps(row) + "\n")
    Console(width=130).print(table(read()))
    print("found: judged on 400 validation images; *: the recipe's default; confirmed: 3 seeds")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
