"""Ask what a search gains over its start, as it says itself, beside random search.

    python benchmarks/gain.py                 # 5 seeds, both ways, and a start that is tuned
    python benchmarks/gain.py --table         # what was measured so far

Each search is `pipeline/search.py --recipe digits` as a user types it, with its race, in processes
of its own. Random search, which prunes nothing, trains as many epochs: on this task they take the
same time whatever their configuration, and the table holds the seconds that workers spent in them
against each other. In the third way the recipe's start is a tuned configuration, so that there is
next to nothing to gain, and the search must say so. Lines that are there in
`benchmarks/results/gain-SPACE-digits.jsonl` are not measured again.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from pipeline.problem.problem import RECIPES
from pipeline.race.rounds import survivors
from pipeline.race.selection import selection
from pipeline.race.statistics import ranked, standings
from pipeline.study.ranking import candidates
from pipeline.study.records import StudyRecord
from pipeline.study.storage import find_study

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results"
TUNED = {"regmix": {"alpha": 1.0, "beta": 0.3, "gamma": 0.3, "true_class_mass": 1.0}}
"""A start that a grid found on this task; alone it stands where searches end."""
WAYS: dict[str, Sequence[str]] = {
    "ours": (),
    "random": ("--sampler", "random", "--pruner", "none", "--control-every", "0"),
    "tuned start": (),
}


def searched(space: str, way: str, seed: int, folder: Path) -> dict[str, Any]:
    """Search, and return what the search and its race say."""
    recipe = "digits" if way != "tuned start" else str(_tuned(folder))
    words = ["--space", space, "--recipe", recipe, "--seed", str(seed), "--study", "s"]
    words += ["--runs", str(folder), "--out", str(folder / "out"), *WAYS[way]]
    command = [sys.executable, str(ROOT / "pipeline" / "search.py"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    study, race = (find_study(name, None, folder / "studies" / name) for name in ("s", "s-confirm"))
    told = {**_told(study, race), "said": _words(done.stdout)}
    return {"space": space, "way": way, "seed": seed, **told}


def _words(printed: str) -> list[str]:
    """Return what the search says of its outlook, and its answer."""
    lines = printed.splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("Answer"))
    return [line for line in lines if line.startswith("outlook")] + lines[start : start + 3]


def _tuned(folder: Path) -> Path:
    """Write the recipe with another start."""
    kept, _ = (RECIPES / "digits.yaml").read_text().split("losses:")
    place = folder / "tuned.yaml"
    place.write_text(f"{kept}losses: {json.dumps(TUNED)}\n")
    return place


def _told(study: StudyRecord, race: StudyRecord) -> dict[str, Any]:
    trials, known = study.trials(), survivors(race)
    found = standings(known, 0)
    winner = ranked(found, race.eliminated)[0]
    best = candidates(study)[0]
    chosen = selection(study)
    one = found[winner]
    return {
        "epochs": sum(trial.last_epoch for trial in trials),
        "seconds": sum(m.seconds for trial in trials for m in trial.epochs.values()),
        "trials": len(trials),
        "complete": len(candidates(study)),
        "best": best.number,
        "value": best.final.robust,
        "luck": None if chosen is None else chosen.luck,
        "raced": {str(n): each.mean for n, each in found.items()},
        "searched": {str(n): study.trial(n).final_robust for n in found},
        "winner": winner,
        "mean": one.mean,
        "seeds": one.seeds,
        "probability": one.best,
        "gain": one.gain,
        "interval": one.gain_interval,
    }


def read(place: Path) -> list[dict[str, Any]]:
    """Return the rows that were measured so far."""
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """Return a row for each search, and the means of each way."""
    result = Table(box=None)
    heads = ("epochs", "trials", "worker s", "best", "luck", "its race", "default", "confirmed")
    for name in ("way", "seed", *heads, "gain (95 % interval)"):
        result.add_column(name, justify="right")
    for way in WAYS:
        own = [row for row in rows if row["way"] == way]
        columns = [_figures(row) for row in own]
        for row, figures in zip(own, columns, strict=True):
            low, high = row["interval"]
            gain = f"{row['gain']:+.3f} ({low:+.3f} to {high:+.3f})"
            result.add_row(way, str(row["seed"]), *map(_shown, figures), gain)
        if own:
            means = [statistics.fmean(column) for column in zip(*columns, strict=True)]
            gain = f"{statistics.fmean(row['gain'] for row in own):+.4f}"
            result.add_row(way, "mean", *map(_shown, means), gain)
    return result


def _figures(row: dict[str, Any]) -> list[float]:
    """Return a search's figures; of the race those of the best of the search, and of trial 0."""
    raced = row["raced"]
    known = raced.get(str(row["best"]), float("nan"))
    counts = [row["epochs"], row["trials"], row["seconds"]]
    return [*counts, row["value"], row["luck"] or 0.0, known, raced["0"], row["mean"]]


def _shown(figure: float) -> str:
    return f"{figure:.0f}" if figure > 1 else f"{figure:.4f}"


def main(words: Sequence[str]) -> int:
    """Measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--space", default="regmix")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--table", action="store_true", help="measure nothing")
    args = parser.parse_args(words)
    place = RESULTS / f"gain-{args.space}-digits.jsonl"
    known = {(row["way"], row["seed"]) for row in read(place)}
    for seed in range(0 if args.table else args.seeds):
        for way in args.ways:
            if (way, seed) in known or (way == "tuned start" and seed > 1):
                continue
            with tempfile.TemporaryDirectory() as folder:
                row = searched(args.space, way, seed, Path(folder))
            with place.open("a") as file:
                file.write(json.dumps(row, separators=(",", ":")) + "\n")
    Console(width=150).print(table(read(place)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
