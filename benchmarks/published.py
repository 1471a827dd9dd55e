"""Train the lineage's settings on CIFAR-10 with ResNet-18, beside the published figures.

    python benchmarks/published.py --data-dir FOLDER --out FOLDER

FGSM-PGI, FGSM-PGK, then RegMix at its starting point; 110 epochs each, for a GPU. FOLDER holds
train/ and test/ class folders, or CIFAR-10's archive with `--set data=cifar10`. Stopped by
whatever means, or by `--minutes`, the same command goes on from the last checkpoint in --out.

Small, on a CPU, add:
    --images 50 --set model=small_cnn width=8 epochs=2 train_images=500 valid_images=100
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from pipeline.base import cli, paths
from regmix import atomic, registry
from regmix.config import TrainConfig
from regmix.device import device, machine
from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.final_evaluation import evaluate_test
from regmix.evaluation.results import Proportion
from regmix.images import Images
from regmix.ranges import Count, Positive, Seed, check
from regmix.training import checkpoint
from regmix.training.trainer import RegMixTrainer, build_model

PAPER: dict[str, Any] = {  # as search_spaces/recipes/cifar10-paper.yaml
    "data": "image_folder",
    "valid_images": 2000,
    "model": "resnet18",
    "attack": "fgsm",
    "eval_epsilon": 8 / 255,
    "epochs": 110,
    "batch_size": 128,
    "lr": 0.1,
    "weight_decay": 5e-4,
    "schedule": "multistep",
    "averaging_decay": 0.999,
    "augment": "crop_flip",
    "momentum_decay": 0.3,
}
PGK = {"true_class_mass": 0.5, "reset_interval": 10}
METHODS: dict[str, dict[str, Any]] = {
    "FGSM-PGI": {"loss": "mse", "mse_weight": 10.0, "true_class_mass": 0.6, "reset_interval": 40},
    "FGSM-PGK": {
        **PGK,
        "loss": "mse",
        "mse_weight": 5.6,
        "momentum_rule": "success",
        "averaging_rule": "pgk",
        "averaging_threshold": 0.82,
    },
    "RegMix": {**PGK, "loss": "regmix", "alpha": 5.0, "beta": 1.0, "gamma": 1.0},
}
# Percent: clean, PGD-50, AutoAttack. PGI: FastAT_Benchmark, mean of 3 seeds, 100 epochs one-cycle;
# PGK: the WMEP-ETA repository's log, one seed, best by test. RegMix: none could be found.
PUBLISHED = {"FGSM-PGI": (79.72, 55.82, 49.89), "FGSM-PGK": (80.64, 55.17, 49.51)}
ROWS = ("clean", "PGD-50", "AutoAttack")


def save(trainer: RegMixTrainer, path: Path) -> None:
    """Write a checkpoint, packed first, so that a kill leaves the old one whole."""
    content = checkpoint.pack(trainer.state_dict())
    atomic.write(path, lambda file: file.write_bytes(content))


def train(name: str, config: TrainConfig, images: Images, out: Path, until: float) -> bool:
    """Train from the last checkpoint on; return whether the end was reached before `until`."""
    trainer = RegMixTrainer(config, config.split(images), device())
    kept = out / f"{name}.pt"
    state = checkpoint.unpack(kept.read_bytes()) if kept.exists() else None
    if state is not None:
        trainer.load_state_dict(state)
    saved = time.monotonic()
    for metrics in trainer.epochs():
        line = {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(metrics).items()}
        print(name, json.dumps(line), flush=True)
        ended, late = metrics.epoch == config.epochs, time.monotonic() > until
        if late or ended or time.monotonic() - saved > 60:
            save(trainer, kept)
            saved = time.monotonic()
        if late and not ended:
            return False
    watch = trainer.monitor
    checkpoint.save_weights(trainer.average.model.state_dict(), out / f"{name}-last.safetensors")
    if watch.best_weights is not None:
        checkpoint.save_weights(watch.best_weights, out / f"{name}-best.safetensors")
    return True


def evaluated(
    name: str, which: str, config: TrainConfig, test: Images, out: Path
) -> dict[str, Proportion]:
    """Return all rows of one file of weights on test images; evaluated once, then remembered."""
    kept = out / f"{name}-{which}-{len(test)}.json"
    if kept.exists():
        return {row: Proportion(*share) for row, share in json.loads(kept.read_text()).items()}
    model = build_model(config, test.images.shape[1], len(test.classes))
    model.load_state_dict(checkpoint.load_weights(out / f"{name}-{which}.safetensors"))
    model.to(device()).eval().requires_grad_(False)
    pixels = torch.from_numpy(test.images).to(device()).float() / 255
    labels = torch.from_numpy(test.labels).to(device())
    settings = AttackSettings(config.eval_epsilon, config.eval_seed)
    rows = dict(evaluate_test(model, pixels, labels, settings, with_autoattack=True))
    text = json.dumps({row: (share.hits, share.count) for row, share in rows.items()})
    atomic.write(kept, lambda file: file.write_text(text))
    return rows


def say(name: str, which: str, rows: dict[str, Proportion]) -> None:
    """Print what was reached beside what is published."""
    for row, published in zip(ROWS, PUBLISHED.get(name, (None,) * 3), strict=True):
        low, high = rows[row].interval
        beside = f"published {published}" if published else "nothing published"
        print(
            f"{name} ({which} epoch) {row}: {100 * rows[row].value:.2f} "
            f"({100 * low:.2f} to {100 * high:.2f}, n = {rows[row].count}); {beside}",
            flush=True,
        )


def main(argv: Sequence[str]) -> int:
    """Return 0 when all is trained and evaluated, 1 where the time did not suffice."""
    parser = cli.Parser("published.py", __doc__)
    parser.add_argument("--data-dir")
    parser.add_argument("--out", default="published")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seed", default=0)
    parser.add_argument("--images", help="number of test images (default: all)")
    parser.add_argument("--minutes", default=1e9, help="stop training after so many")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    args = parser.parse_args(argv)
    minutes = float(check("command line", "--minutes", args.minutes, Positive))
    until = time.monotonic() + 60 * minutes
    out = paths.writable_folder(Path(args.out), "--out")
    seed = check("--seed", "seed", args.seed, Seed)
    torch.backends.cudnn.benchmark = True
    print(machine(), flush=True)
    place = {"data_dir": args.data_dir} if args.data_dir else {}
    flat = {**PAPER, **place, "seed": seed, **cli.overrides(args.set)}
    load = registry.find("data", str(flat["data"]))
    train_part, test = (load(part, **place) for part in ("train", "test"))
    if args.images is not None:
        test = test.first(check("command line", "--images", args.images, Count))
    for name in args.methods:
        config = TrainConfig.from_flat({**flat, **METHODS[name]})
        if not train(name, config, train_part, out, until):
            print(f"{name}: the time is over; the same command goes on")
            return 1
        for which in ("last", "best"):
            say(name, which, evaluated(name, which, config, test, out))
    return 0


if __name__ == "__main__":
    sys.exit(cli.run("published", main))
