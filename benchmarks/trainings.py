"""Train random configurations of a space to their ends: a table in which searches are replayed.

    python benchmarks/trainings.py --space regmix --count 300          # goes on where it was
    python benchmarks/trainings.py --space regmix --count 300 --part 1/2   # by two processes

A row holds the configuration, the value at each validated epoch, what the end is judged as, and
which images survive: of the validation images, by which a search chooses, and of test images, by
which this benchmark alone judges what was chosen. Row 0 is the recipe's own configuration. Rows
stand in `benchmarks/results/trainings-SPACE-RECIPE.jsonl`; those that are there are not trained
again.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import optuna

from pipeline.base import cli
from pipeline.problem.problem import SearchProblem
from regmix.errors import NonFiniteError
from regmix.ranges import Value

RESULTS = Path(__file__).parent / "results"
STREAM = 20261130
"""Seed of the configurations; a search draws its own from other ones."""


def place(problem: SearchProblem) -> Path:
    """Return the file of a problem's rows."""
    return RESULTS / f"trainings-{problem.space.name}-{problem.recipe.name}.jsonl"


def read(path: Path) -> dict[int, dict[str, Any]]:
    """Return number -> row of what was trained so far, by number."""
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {row["number"]: row for row in sorted(rows, key=lambda row: row["number"])}


def configurations(problem: SearchProblem, count: int) -> Iterator[tuple[int, dict[str, Value]]]:
    """Yield number and parameters: the recipe's own as 0, then independent draws."""
    yield 0, problem.default()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=STREAM))
    for number in range(1, count):
        yield number, problem.space.suggest(study.ask())


def trained(
    problem: SearchProblem, wanted: Mapping[int, Mapping[str, Value]]
) -> Iterator[dict[str, Any]]:
    """Train configurations one after the other in one thread; yield a row for each."""
    import torch

    from pipeline.problem.exported import load_part
    from regmix.evaluation.validator import Validator
    from regmix.training.trainer import RegMixTrainer

    torch.set_num_threads(1)
    config, device = problem.config({}), torch.device("cpu")
    split, test = config.split(load_part(config, "train")), load_part(config, "test")
    for number, params in wanted.items():
        config, row = problem.config(params), {"number": number, "params": dict(params)}
        try:
            trainer = RegMixTrainer(config, split, device)
            epochs = list(trainer.epochs())
            judge = Validator(config, test, device)
            model = trainer.average.model.eval()
            tested = judge.final(model, judge.per_epoch(model))
        except NonFiniteError as error:
            yield {**row, "failed": str(error)}
            continue
        final = epochs[-1].final
        assert final is not None, "the last epoch is evaluated"
        yield {
            **row,
            "values": {e.epoch: e.valid_robust for e in epochs if e.valid_robust is not None},
            "raw_pgd": [e.raw_pgd for e in epochs],
            "overfitted": [e.epoch for e in epochs if e.co_detected],
            "clean": epochs[-1].valid_clean,
            "robust": final.robust,
            "survivors": final.survivors,
            "test_robust": tested.robust,
            "test_survivors": tested.survivors,
            "seconds": round(sum(e.seconds for e in epochs), 2),
        }


def main(words: Sequence[str]) -> int:
    """Train what is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", default="regmix")
    parser.add_argument("--recipe", default="digits")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--part", default="1/1", help="which of so many processes this one is")
    args = parser.parse_args(words)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    problem = SearchProblem.load(args.space, args.recipe, cli.overrides(args.set)).with_seed(0)
    part, parts = (int(word) for word in args.part.split("/"))
    path = place(problem)
    known = read(path)
    wanted = {
        number: params
        for number, params in configurations(problem, args.count)
        if number % parts == part - 1 and number not in known
    }
    with path.open("a") as file:
        for row in trained(problem, wanted):
            file.write(json.dumps(row, separators=(",", ":")) + "\n")
            file.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
