"""Compare training losses under one attack, and the levels of evaluation with AutoAttack.

    python benchmarks/methods.py digits
    python benchmarks/methods.py cifar10 --data-dir FOLDER      # train/ and test/ class folders
    python benchmarks/methods.py digits --table                 # prints what was measured so far

Each loss gets the same small grid of weights, trained once with a seed of its own; validation
chooses; the choice is trained with three fresh seeds and evaluated on test data. Every model that
was made stands as one line in `benchmarks/results/methods-DATA.jsonl`; lines that are there are
not measured again.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from regmix.evaluation.results import Proportion

if TYPE_CHECKING:
    from torch import nn

RESULTS = Path(__file__).parent / "results"
GRID_SEED, SEEDS = 100, (0, 1, 2)
BASE: dict[str, dict[str, Any]] = {
    # The recipe `digits` with more steps in validation.
    "digits": {
        "data": "digits",
        "model": "small_cnn",
        "width": 16,
        "attack": "fgsm",
        "valid_images": 400,
        "eval_epsilon": 0.25,
        "eval_steps": 20,
        "epochs": 12,
        "batch_size": 32,
        "lr": 0.2,
        "schedule": "cosine",
        "averaging_decay": 0.99,
    },
    "cifar10": {
        "data": "image_folder",
        "model": "small_cnn",
        "width": 16,
        "attack": "fgsm",
        "train_images": 5000,
        "valid_images": 500,
        "eval_epsilon": 8 / 255,
        "epochs": 10,
        "batch_size": 64,
        "lr": 0.1,
        "schedule": "cosine",
        "augment": "crop_flip",
        "averaging_decay": 0.99,
    },
}
# Test images: for all attacks but AutoAttack, for AutoAttack beside the levels, for it alone.
TEST_IMAGES = {"digits": (400, 200, 200), "cifar10": (2000, 250, 60)}


def grid(data: str) -> dict[str, list[dict[str, Any]]]:
    """Return what is tried of each method: weights of about the same pull."""
    weights = (0.3, 1.0, 3.0) if data == "digits" else (2.0, 6.0)
    return {
        "plain": [{"loss": "plain"}],
        "mse": [{"loss": "mse", "mse_weight": w} for w in weights],
        "trades": [{"loss": "trades", "trades_weight": w} for w in weights],
        "wamr": [{"loss": "regmix", "alpha": w, "beta": w / 4, "gamma": 0.0} for w in weights],
        "agr": [{"loss": "regmix", "alpha": 0.0, "beta": 0.0, "gamma": w} for w in weights],
        "regmix": [{"loss": "regmix", "alpha": w, "beta": w / 4, "gamma": w / 4} for w in weights],
    }


class Bench:
    """Trains and evaluates, and remembers."""

    def __init__(self, data: str, data_dir: str | None) -> None:
        """Read the images and what was measured before."""
        import torch

        from pipeline.problem.exported import load_part
        from regmix.config import TrainConfig

        torch.set_num_threads(1)
        self.data, self.base = data, dict(BASE[data])
        if data_dir:
            self.base["data_dir"] = data_dir
        config = TrainConfig.from_flat({**self.base, "loss": "plain"})  # of images, any loss
        self.split = config.split(load_part(config, "train"))
        self.test = load_part(config, "test").first(TEST_IMAGES[data][0])
        self.path = RESULTS / f"methods-{data}.jsonl"
        self.known = read(self.path)

    def run(self, method: str, changes: dict[str, Any], seed: int, purpose: str) -> dict[str, Any]:
        """Return the line of one model, measured or remembered."""
        import torch

        from regmix.config import TrainConfig
        from regmix.training.trainer import RegMixTrainer

        who = {"method": method, "changes": changes, "seed": seed, "purpose": purpose}
        for line in self.known:
            if all(line[key] == value for key, value in who.items()):
                return line
        config = TrainConfig.from_flat({**self.base, **changes, "seed": seed})
        cpu, begun = time.process_time(), time.perf_counter()
        trainer = RegMixTrainer(config, self.split, torch.device("cpu"))
        metrics = list(trainer.epochs())[-1]
        final = metrics.final
        assert final is not None, "the last epoch is evaluated"
        line = who | {
            "cpu_seconds": time.process_time() - cpu,
            "seconds": time.perf_counter() - begun,
            "valid_pgd": metrics.valid_pgd,
            "valid_robust": metrics.valid_robust,
            "valid_final_robust": final.robust,
            "flags": final.flags(config.eval_steps),
            "co_detected": metrics.co_detected,
        }
        if purpose == "final" or self.data == "digits":
            levels = seed in (GRID_SEED, SEEDS[0])
            line |= self._evaluated(trainer.average.model, config.eval_epsilon, levels)
        RESULTS.mkdir(exist_ok=True)
        with open(self.path, "a") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line), flush=True)
        self.known.append(line)
        return line

    def _evaluated(self, model: "nn.Module", epsilon: float, levels: bool) -> dict[str, Any]:
        """Return all rows on the test images, AutoAttack, and the levels beside it."""
        import torch

        from regmix.evaluation.apgd_levels import after_apgd
        from regmix.evaluation.attack_settings import AttackSettings
        from regmix.evaluation.autoattack import autoattack
        from regmix.evaluation.final_evaluation import evaluate_test
        from regmix.evaluation.pgd_ensemble import random_start, validate

        images = torch.from_numpy(self.test.images).float() / 255
        labels = torch.from_numpy(self.test.labels)
        settings = AttackSettings(epsilon, seed=0)
        rows = evaluate_test(model, images, labels, settings)
        result: dict[str, Any] = {"rows": {name: share.value for name, share in rows}}
        some = self.test.first(TEST_IMAGES[self.data][1 if levels else 2])
        x, y = torch.from_numpy(some.images).float() / 255, torch.from_numpy(some.labels)
        known = validate(model, x, y, random_start(x, epsilon, 0), epsilon=epsilon, steps=10)
        asked = (("level 1", 20, 3), ("level 2", 100, 9)) if levels else ()
        for name, steps, targets in asked:
            alive = after_apgd(
                model, x, y, known.robust_mask, settings, steps=steps, targets=targets
            )
            result[name] = int(alive.sum()) / len(y)
        right = known.clean_mask
        begun = time.process_time()
        result["AutoAttack"] = int(autoattack(model, x[right], y[right], settings).sum()) / len(y)
        return result | {"AutoAttack_seconds": time.process_time() - begun, "images": len(y)}


def read(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file of results; none where there is none."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def chosen(lines: list[dict[str, Any]], method: str) -> dict[str, Any]:
    """Return the grid's weights that validation prefers."""
    tried = [x for x in lines if x["method"] == method and x["purpose"] == "grid"]
    best: dict[str, Any] = max(tried, key=lambda line: line["valid_final_robust"])["changes"]
    return best


def methods_table(lines: list[dict[str, Any]]) -> Table:
    """Return mean and standard deviation over the seeds; of AutoAttack share and interval."""
    rows = ("clean", "PGD-20", "PGD-20 on the margin", "APGD-20, 3 targets", "worst case")
    table = Table(box=None)
    for name in ("method", "weights", "seeds", *rows, "AutoAttack", "n", "CPU s"):
        table.add_column(name, justify="left" if name in ("method", "weights") else "right")
    for method in dict.fromkeys(line["method"] for line in lines):
        final = [x for x in lines if x["method"] == method and x["purpose"] == "final"]
        if len(final) < 2:
            continue
        columns = [[line["rows"][row] for line in final] for row in rows]
        said = [f"{statistics.mean(c):.3f} ({statistics.stdev(c):.3f})" for c in columns]
        hits = sum(round(line["AutoAttack"] * line["images"]) for line in final)
        share = Proportion(hits, sum(line["images"] for line in final))
        said.append("{:.3f} ({:.3f} to {:.3f})".format(share.value, *share.interval))
        weights = ", ".join(f"{k} {v:g}" for k, v in final[0]["changes"].items() if k != "loss")
        spent = statistics.mean(line["cpu_seconds"] for line in final)
        table.add_row(method, weights, str(len(final)), *said, str(share.count), f"{spent:.0f}")
    return table


def levels_table(lines: list[dict[str, Any]]) -> Table:
    """Return how far each level is from AutoAttack, and how alike both rank the models."""
    from scipy.stats import kendalltau, spearmanr

    lines = [line for line in lines if "level 2" in line]
    truth = [line["AutoAttack"] for line in lines]
    table = Table(box=None, title=f"{len(lines)} models, {lines[0]['images']} test images each")
    for name in ("evaluation", "mean gap", "largest gap", "Spearman", "Kendall"):
        table.add_column(name, justify="left" if name == "evaluation" else "right")
    for name, values in _evaluations(lines):
        gaps = [ours - true for ours, true in zip(values, truth, strict=True)]
        on_test = name.startswith("level")
        table.add_row(
            name,
            *((f"{statistics.mean(gaps):.4f}", f"{max(gaps):.4f}") if on_test else ("-", "-")),
            f"{spearmanr(values, truth).statistic:.2f}",
            f"{kendalltau(values, truth).statistic:.2f}",
        )
    return table


def _evaluations(lines: list[dict[str, Any]]) -> Iterator[tuple[str, list[float]]]:
    for key in ("valid_pgd", "valid_robust", "valid_final_robust", "level 1", "level 2"):
        yield key, [line[key] for line in lines]
    yield "test PGD-20", [line["rows"]["PGD-20"] for line in lines]


def main() -> None:
    """Measure what is not known yet, then print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", choices=sorted(BASE))
    parser.add_argument("--data-dir")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="of the final ones")
    args = parser.parse_args()
    if not args.table:
        bench = Bench(args.data, args.data_dir)
        for method, tried in grid(args.data).items():
            for changes in tried:
                bench.run(method, changes, GRID_SEED, "grid")
        for seed in args.seeds:
            for method in grid(args.data):
                bench.run(method, chosen(bench.known, method), seed, "final")
    lines = read(RESULTS / f"methods-{args.data}.jsonl")
    for table in (methods_table(lines), levels_table(lines)):
        Console(width=200).print(table)


if __name__ == "__main__":
    main()
