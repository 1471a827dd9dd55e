"""Ask what a search's best is worth: replay searches over a table of trainings, and train anew.

    python benchmarks/selection.py train --seeds 4   # winners, with fresh seeds
    python benchmarks/selection.py table                           # predicted loss against found

A replayed search knows `--size` configurations of the table (`benchmarks/trainings.py`) and
chooses by validation, as a search does; it predicts as `pipeline/race/selection.py` does. What it
loses is told twice: on test images, by the same training, and with fresh seeds on the images
that chose it, evaluated as trials are and as the finalists of a race are. Rows of fresh trainings
stand in `benchmarks/results/selection-SPACE-RECIPE.jsonl`; those that are there are not trained
again.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from pipeline.race.selection import expected_luck
from pipeline.race.statistics import seed_noise
from pipeline.study.judge_noise import COMPARED, noise_between
from regmix.evaluation.results import FinalEvaluation, Masking, unpack

RESULTS = Path(__file__).parent / "results"
FIRST_SEED = 101
"""Of the fresh seeds; the table has seed 0, and a race counts from 1."""
OTHERS = 16
"""Configurations that are trained anew without having been chosen."""
PARTS = (1.0, 0.5)
"""Shares of the table that searches draw from: at random, and as a sampler that has learned."""

Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """Return the rows of a file: [] where there is none."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def trainings(name: str) -> dict[int, Row]:
    """Return number -> row of the trainings that ended well."""
    rows = read(RESULTS / f"trainings-{name}.jsonl")
    return {row["number"]: row for row in rows if "robust" in row}


def searches(rows: dict[int, Row], size: int, part: float = 1.0, start: int = 0) -> list[list[int]]:
    """Return the configurations of each replayed search, no two of which share one.

    The recipe's own is in none: it was found by a search of its own.

    Args:
        rows: the table.
        size: number of configurations of each.
        part: share of the table that they are drawn from, the best by `foreseen`: a sampler that
            learns meets good ones more often than chance does.
        start: seed of the draws.
    """
    ahead = foreseen(rows)
    ordered = sorted((number for number in rows if number), key=lambda number: -ahead[number])
    pool = ordered[: round(part * len(ordered))]
    turned = [int(number) for number in np.random.default_rng(start).permutation(pool)]
    return [turned[k : k + size] for k in range(0, len(turned) - size + 1, size)]


def foreseen(rows: dict[int, Row]) -> dict[int, float]:
    """Return what the other rows say of each: a quadratic of the parameters' ranks, left out.

    A row's own value would tell its luck, which no sampler knows before a trial.
    """
    params = [row["params"] for row in rows.values()]
    table = np.array([[one[name] for name in params[0]] for one in params], dtype=float)
    x = table.argsort(axis=0).argsort(axis=0) / len(table) - 0.5
    first, second = np.triu_indices(x.shape[1])
    design = np.hstack([np.ones((len(x), 1)), x, x[:, first] * x[:, second]])
    values = np.array([row["robust"] for row in rows.values()])
    smooth = design @ np.linalg.pinv(design)
    share = np.minimum(smooth.diagonal(), 0.999)
    return dict(zip(rows, (smooth @ values - share * values) / (1 - share), strict=True))


def winner(rows: dict[int, Row], search: Sequence[int]) -> int:
    """Return the configuration that a search chooses."""
    return max(search, key=lambda number: (rows[number]["robust"], -number))


def winners(rows: dict[int, Row], size: int) -> list[int]:
    """Return what the searches choose, each configuration once."""
    found = (winner(rows, one) for part in PARTS for one in searches(rows, size, part))
    return list(dict.fromkeys(found))


def train(name: str, numbers: Sequence[int], seeds: int) -> Iterator[Row]:
    """Yield a row for each configuration and fresh seed that is not known yet."""
    import torch

    from pipeline.problem.exported import load_part
    from pipeline.problem.problem import SearchProblem
    from regmix.evaluation.validator import Validator
    from regmix.training.trainer import RegMixTrainer

    torch.set_num_threads(1)
    rows, device = trainings(name), torch.device("cpu")
    space, recipe = name.split("-")
    problem = SearchProblem.load(space, recipe, {})
    first = problem.config({})
    split, test = first.split(load_part(first, "train")), load_part(first, "test")
    known = {(row["number"], row["seed"]) for row in read(place(name))}
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        for number in numbers:
            if (number, seed) in known:
                continue
            config = replace(problem.config(rows[number]["params"]), seed=seed)
            trainer = RegMixTrainer(config, split, device)
            final = list(trainer.epochs())[-1].final
            assert final is not None, "the last epoch is evaluated"
            model = trainer.average.model.eval()
            other = Validator(config, test, device)
            tested = other.final(model, other.per_epoch(model))
            same = Validator(replace(config, judgement="finalist"), split.valid, device)
            raced = same.final(model, same.per_epoch(model))
            yield {
                "number": number,
                "seed": seed,
                "robust": final.robust,
                "survivors": final.survivors,
                "test_robust": tested.robust,
                "test_survivors": tested.survivors,
                "finalist_robust": raced.robust,
                "finalist_survivors": raced.survivors,
            }


def place(name: str) -> Path:
    """Return the file of the fresh trainings."""
    return RESULTS / f"selection-{name}.jsonl"


def predicted(rows: dict[int, Row], search: Sequence[int]) -> float:
    """Return the luck that the end of a search tells of its best."""
    ordered = sorted(search, key=lambda number: -rows[number]["robust"])
    noise = noise_between([evaluation(rows[number]) for number in ordered[:COMPARED]])
    assert noise is not None, "a row has its images"
    return expected_luck([rows[number]["robust"] for number in ordered], noise / math.sqrt(2))


def others(rows: dict[int, Row], chosen: Iterable[int]) -> list[int]:
    """Return configurations of the better half that no search chose, drawn at random.

    What they lose with fresh seeds is what the table's seed did to all alike.
    """
    ahead = foreseen(rows)
    ordered = sorted((number for number in rows if number), key=lambda number: -ahead[number])
    pool = [number for number in ordered[: len(ordered) // 2] if number not in set(chosen)]
    return [int(number) for number in np.random.default_rng(1).permutation(pool)[:OTHERS]]


def evaluation(row: Row) -> FinalEvaluation:
    """Return what a row says of the validation images."""
    hits = int(row["survivors"], 16).bit_count()
    masking = Masking(**dict.fromkeys(Masking.__dataclass_fields__, 0.0))  # type: ignore[arg-type]
    return FinalEvaluation(hits, round(hits / row["robust"]), masking, row["survivors"])


def lost(rows: dict[int, Row], fresh: Sequence[Row], chosen: int) -> dict[str, float]:
    """Return way of judging anew -> what the chosen value loses by it.

    On test images of the same training, where a cubic over the table says what to expect; and,
    where it was trained anew, with fresh seeds, as trials and as finalists are judged.
    """
    value = rows[chosen]["robust"]
    ends = np.array([(row["robust"], row["test_robust"]) for row in rows.values()])
    line = np.polynomial.Polynomial.fit(ends[:, 0], ends[:, 1], deg=3)
    found = {"test images": float(line(value)) - rows[chosen]["test_robust"]}
    again = [row for row in fresh if row["number"] == chosen]
    if again:
        found["fresh seeds"] = value - fmean(row["robust"] for row in again)
        found["as finalists"] = value - fmean(row["finalist_robust"] for row in again)
    return found


def overtuned(rows: dict[int, Row], search: Sequence[int]) -> tuple[bool, bool]:
    """Return whether a search's choice is worse on test than one before it, and than the default.

    The choices before it are those that led on validation for a while (arXiv 2506.19540).
    """
    led: list[int] = []
    for number in search:
        if not led or rows[number]["robust"] > rows[led[-1]]["robust"]:
            led.append(number)
    tested = [rows[number]["test_robust"] for number in led]
    return tested[-1] < max(tested), tested[-1] < rows[0]["test_robust"]


def table(name: str, size: int) -> Iterator[str]:
    """Yield lines: predicted against found, overtuning, and what seeds do."""
    rows, fresh = trainings(name), read(place(name))
    for part in PARTS:
        replayed = searches(rows, size, part)
        guesses = [predicted(rows, search) for search in replayed]
        yield (
            f"{len(replayed)} searches, each the best of {size} of the most promising {part:.0%} "
            f"of {len(rows) - 1}:"
        )
        yield f"  predicted luck {fmean(guesses):+.4f}"
        found = [lost(rows, fresh, winner(rows, search)) for search in replayed]
        for way in dict.fromkeys(key for one in found for key in one):
            pairs = [(g, f[way]) for g, f in zip(guesses, found, strict=True) if way in f]
            errors = [guess - truth for guess, truth in pairs]
            yield (
                f"  lost by {way}: {fmean(truth for _, truth in pairs):+.4f} (n = {len(pairs)}); "
                f"error of the prediction {fmean(errors):+.4f}, absolute "
                f"{fmean(map(abs, errors)):.4f}, of none "
                f"{fmean(abs(truth) for _, truth in pairs):.4f}"
            )
        worse = [overtuned(rows, search) for search in replayed]
        yield (
            f"  overtuned: {sum(one for one, _ in worse)} of {len(replayed)} worse on test than an "
            f"earlier choice, {sum(one for _, one in worse)} worse than the default"
        )
    yield from seeds_in_words(rows, fresh, winners(rows, size))


def seeds_in_words(rows: dict[int, Row], fresh: Sequence[Row], chosen: Sequence[int]) -> list[str]:
    """Return what seeds do: to each alone, and what the table's did to all alike."""
    if not fresh:
        return []
    raced: dict[int, dict[int, Any]] = {}
    for row in fresh:
        one = evaluation(row)
        raced.setdefault(row["number"], {})[row["seed"]] = np.array(
            unpack(one.survivors, one.count)
        )
    own, whole = seed_noise(raced)
    found = [
        f"seeds, of {len(raced)} configurations: {whole.deviation(one.count):.4f} in all, "
        f"{own.deviation(one.count):.4f} of each alone, of it {math.sqrt(own.alone):.4f} on very "
        f"many images; variance of an image that flips {own.flips:.4f}"
    ]
    unchosen = [number for number in others(rows, chosen) if number in raced]
    lost = [
        rows[number]["robust"] - fmean(row["robust"] for row in fresh if row["number"] == number)
        for number in unchosen
    ]
    if len(lost) > 1:
        error = stdev(lost) / math.sqrt(len(lost))
        found.append(
            f"the table's seed: {len(lost)} that no search chose lose {fmean(lost):+.4f} "
            f"(standard error {error:.4f}) with fresh seeds"
        )
    return found


def main(words: Sequence[str]) -> int:
    """Train what is missing, or print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["train", "table"])
    parser.add_argument("--name", default="regmix-digits", help="SPACE-RECIPE of the table")
    parser.add_argument("--size", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=4)
    args = parser.parse_args(words)
    rows = trainings(args.name)
    if args.what == "train":
        chosen = winners(rows, args.size)
        wanted = [0, *chosen, *others(rows, chosen)]
        with place(args.name).open("a") as file:
            for row in train(args.name, wanted, args.seeds):
                file.write(json.dumps(row, separators=(",", ":")) + "\n")
                file.flush()
    else:
        print("\n".join(table(args.name, args.size)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
