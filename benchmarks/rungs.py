"""Ask which early epoch tells the end: where a pruner may first compare, and by which figure.

    python benchmarks/rungs.py train digits                    # own trials, one line each
    python benchmarks/rungs.py train cifar10 --data-dir FOLDER --count 8
    python benchmarks/rungs.py replay FOLDER                   # public logs of 100 epochs, *.json
    python benchmarks/rungs.py table digits                    # what was trained so far

Own trials: configurations drawn from the space `wamr`, each trained with the recipe's schedule,
with a rate that stays and then falls, and in short complete runs. Lines that are there in
`benchmarks/results/rungs-DATA.jsonl` are not trained again.
"""

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from benchmarks.curves import PARTS, Curve, correlations, replays

RESULTS = Path(__file__).parent / "results"
SMALL = {
    "digits": {},
    "cifar10": {
        "data": "image_folder",
        "model": "small_cnn",
        "width": 16,
        "train_images": 4000,
        "valid_images": 1000,
        "epochs": 10,
        "batch_size": 64,
    },
}


def configurations(data: str, count: int, data_dir: str | None) -> list[dict[str, Any]]:
    """Return flat configurations: the recipe's default, then random ones, the same each time."""
    from optuna.samplers import RandomSampler
    from optuna.study import create_study

    from pipeline.problem.problem import SearchProblem

    given = {**SMALL[data], **({"data_dir": data_dir} if data_dir else {})}
    problem = SearchProblem.load("wamr", data, given)
    study = create_study(sampler=RandomSampler(seed=0))
    study.enqueue_trial(problem.default())
    found = [problem.space.suggest(study.ask()) for _ in range(count)]
    return [problem.config(params).flat() for params in found]


def arms(epochs: int) -> list[tuple[str, int]]:
    """Return schedule and length of each training of a configuration."""
    shorts = sorted({math.ceil(epochs * part) for part in PARTS.values() if part <= 0.5})
    return [("cosine", epochs), ("trapezoid", epochs), *(("cosine", short) for short in shorts)]


def train(data: str, count: int, data_dir: str | None) -> Iterator[dict[str, Any]]:
    """Yield a row for each training that is not known yet."""
    import torch

    from pipeline.problem.exported import load_part
    from regmix.config import TrainConfig
    from regmix.errors import NonFiniteError
    from regmix.training.trainer import RegMixTrainer

    torch.set_num_threads(1)
    known = {(row["number"], row["schedule"], row["epochs"]) for row in read(data)}
    drawn = configurations(data, count, data_dir)
    first = TrainConfig.from_flat(drawn[0])
    parts = first.split(load_part(first, "train"))
    for number, flat in enumerate(drawn):
        for schedule, epochs in arms(int(flat["epochs"])):
            if (number, schedule, epochs) in known:
                continue
            config = TrainConfig.from_flat({**flat, "schedule": schedule, "epochs": epochs})
            row: dict[str, Any] = {"number": number, "schedule": schedule, "epochs": epochs}
            row |= {"averaged": [], "raw": []}
            try:
                for epoch in RegMixTrainer(config, parts, torch.device("cpu")).epochs():
                    row["averaged"].append(epoch.valid_robust)
                    row["raw"].append(epoch.raw_pgd)
                    row["final_robust"] = epoch.final and epoch.final.robust
            except NonFiniteError:
                row["final_robust"] = None
            yield row


def read(data: str) -> list[dict[str, Any]]:
    """Return the rows that were trained so far."""
    path = RESULTS / f"rungs-{data}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def public(folder: Path) -> Iterator[Table]:
    """Yield the tables of the public logs; runs that lack a curve or AutoAttack are left out."""
    for path in sorted(folder.glob("*.json")):
        logs = [log for runs in json.loads(path.read_text()).values() for log in runs]
        kinds = {"averaged": "wa_pgd_acc_list", "raw": "model_pgd_acc_list"}
        whole = [
            log
            for log in logs
            if log.get("autoattack_acc")
            and all(len(log.get(k) or ()) == 100 for k in kinds.values())
        ]
        looks, curves = {}, {}
        for name, key in kinds.items():
            for which, logs in (("all", whole), ("sound", [r for r in whole if _sound(r)])):
                final = [log["autoattack_acc"] / 100 for log in logs]
                title = f"{name}, {which} (n = {len(logs)})"
                looks[title] = _look([log[key] for log in logs], final)
                curves[title] = ([log[key] for log in logs], final)
        yield correlations(f"{path.stem}: Spearman with AutoAttack at the end", looks)
        yield replays(f"{path.stem}: halving", curves)


def _sound(log: dict[str, Any]) -> bool:
    curve = log["model_pgd_acc_list"]
    return all(before - after <= 0.1 for before, after in zip(curve[10:], curve[11:], strict=False))


def _look(curves: Sequence[Curve], final: Curve) -> Callable[[float], tuple[Curve, Curve]]:
    return lambda part: ([c[math.ceil(part * len(c)) - 1] for c in curves], final)


def own(data: str) -> Iterator[Table]:
    """Yield the tables of the trials that were trained so far."""
    rows = {(row["number"], row["schedule"], row["epochs"]): row for row in read(data)}
    epochs = max(length for _, _, length in rows)
    whole = [
        n
        for n in sorted({number for number, _, _ in rows})
        if all(rows.get((n, *arm), {}).get("final_robust") is not None for arm in arms(epochs))
    ]
    looks, curves = {}, {}
    for schedule in ("cosine", "trapezoid"):
        final = [rows[n, schedule, epochs]["final_robust"] for n in whole]
        for kind in ("averaged", "raw"):
            found = [rows[n, schedule, epochs][kind] for n in whole]
            looks[f"{schedule}, {kind}"] = _look(found, final)
            curves[f"{schedule}, {kind}"] = (found, final)
    final = [rows[n, "cosine", epochs]["final_robust"] for n in whole]

    def short(part: float) -> tuple[Curve, Curve]:
        length = math.ceil(part * epochs)
        found = [rows[n, "cosine", length]["averaged"][-1] for n in whole if part <= 0.5]
        return found, final

    looks["short complete cosine"] = short
    title = f"{data}, {epochs} epochs, n = {len(whole)}"
    yield correlations(f"{title}: Spearman with `final_robust` at the end", looks)
    yield replays(f"{title}: halving", curves)


def main(argv: Sequence[str]) -> int:
    """Train, or print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["train", "table", "replay"])
    parser.add_argument("where", help="digits or cifar10; for replay the folder of the logs")
    parser.add_argument("--data-dir", help="train/ and test/ class folders")
    parser.add_argument("--count", type=int, default=24, help="configurations (default: 24)")
    args = parser.parse_args(argv)
    if args.what == "train":
        with open(RESULTS / f"rungs-{args.where}.jsonl", "a") as file:
            for row in train(args.where, args.count, args.data_dir):
                file.write(json.dumps(row) + "\n")
                file.flush()
        return 0
    for table in public(Path(args.where)) if args.what == "replay" else own(args.where):
        Console(width=130).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
