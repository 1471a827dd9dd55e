"""Does validation rank models as test images do, and how well could it at best?

    python benchmarks/ranks.py measure --data-dir FOLDER --count 20   # CIFAR-10, one row each
    python benchmarks/ranks.py table                                  # digits and CIFAR-10

A row holds which validation and which test images survive, judged as the end of a trial, as in
`trainings.py`, whose table of digits is read too. If both parts are drawn alike, then any other
division of all these images into as many and as many was as likely. So the rank correlations of
random divisions are the distribution that a judge has whose validation images are as good as test
images: their mean is the ceiling, and the share at or below what was observed a p-value
(Pitman, 1937). Nothing is fitted, and nothing assumed of the models.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.curves import rank_correlation
from benchmarks.trainings import configurations, read

if TYPE_CHECKING:
    from torch import nn

    from regmix.config import TrainConfig
    from regmix.images import Images

RESULTS = Path(__file__).parent / "results"
ROWS = RESULTS / "ranks-cifar10.jsonl"
SMALL = {
    "data": "image_folder",
    "model": "small_cnn",
    "width": 8,
    "train_images": 4000,
    "valid_images": 100,
    "finalist_images": 5000,
    "epochs": 6,
    "eval_every": 6,
    "batch_size": 64,
    "schedule": "cosine",
    "averaging_decay": 0.99,
}
COUNTS = {"digits": ((400, 400),), "cifar10": ((400, 400), (1000, 1000), (5000, 10000))}
Verdicts = NDArray[np.bool_]


@dataclass(frozen=True)
class Ranks:
    """Rank correlation of two parts, and what it could be.

    observed: Spearman's, the mean over draws where fewer images than there are were asked for.
    ceiling, low, high: mean and central 95 % over random divisions of all images.
    below: share of the divisions at or below the observed one; means nothing of a mean over draws.
    linear: Pearson's that is expected, from the variance between models and the sampling's.
    """

    observed: float
    ceiling: float
    low: float
    high: float
    below: float
    linear: float


def ranks(
    valid: Verdicts, test: Verdicts, counts: tuple[int, int] | None = None, draws: int = 1000
) -> Ranks:
    """Compare the order of models on two parts with that on random divisions of both.

    Args:
        valid, test: (models, images) bool, True where an image survives.
        counts: number of images of each part; None takes all.
        draws: number of divisions.
    """
    generator = np.random.default_rng(0)
    few, many = counts or (valid.shape[1], test.shape[1])
    every = np.concatenate([valid, test], axis=1).astype(np.float32)
    divided, observed = [], []
    for _ in range(draws):
        order = generator.permutation(every.shape[1])[: few + many]
        divided.append(_correlation(every[:, order[:few]], every[:, order[few:]]))
        one = generator.permutation(valid.shape[1])[:few]
        other = generator.permutation(test.shape[1])[:many]
        observed.append(_correlation(valid[:, one], test[:, other]))
    low, high = np.quantile(divided, [0.025, 0.975])
    mean = float(np.mean(observed))
    return Ranks(
        mean,
        float(np.mean(divided)),
        float(low),
        float(high),
        float((np.array(divided) <= mean + 1e-12).mean()),
        expected_correlation(every, few, many),
    )


def _correlation(one: NDArray[Any], other: NDArray[Any]) -> float:
    return rank_correlation(one.mean(axis=1).tolist(), other.mean(axis=1).tolist())


def expected_correlation(verdicts: NDArray[Any], few: int, many: int) -> float:
    """Return Pearson's correlation that means over `few` and over `many` images have.

    What all models share on an image cancels; the rest of an image's variance, averaged over the
    models, is what means of n images vary by, times n. What the models' means over all images vary
    by beyond that is the variance between them.

    Args:
        verdicts: (models, images), 1 where an image survives.
        few, many: numbers of images of two parts without a common image.
    """
    models, images = verdicts.shape
    own = verdicts - verdicts.mean(axis=0)
    within = float(own.var(axis=1, ddof=1).sum()) / (models - 1)
    between = max(0.0, float(verdicts.mean(axis=1).var(ddof=1)) - within / images)
    total = (between + within / few) * (between + within / many)
    return between / total**0.5 if total else 0.0


def measured(data_dir: str, count: int) -> Iterator[dict[str, Any]]:
    """Train configurations of the space `regmix` on CIFAR-10; yield a row for each new one."""
    import torch

    from pipeline.problem.exported import load_part
    from pipeline.problem.problem import SearchProblem
    from regmix.errors import NonFiniteError
    from regmix.evaluation.results import pack
    from regmix.training.trainer import RegMixTrainer

    torch.set_num_threads(1)
    device = torch.device("cpu")
    problem = SearchProblem.load("regmix", "cifar10", {**SMALL, "data_dir": data_dir})
    first, known = problem.config({}), read(ROWS)
    data, test = first.split(load_part(first, "train")), load_part(first, "test")
    for number, params in configurations(problem, count):
        if number in known:
            continue
        config, row = problem.config(params), {"number": number, "params": dict(params)}
        try:
            trainer = RegMixTrainer(config, data, device)
            *_, last = trainer.epochs()
            model = trainer.average.model.eval()
            found = [survivors(config, model, part) for part in (data.held_out, test)]
        except NonFiniteError as error:
            yield {**row, "failed": str(error)}
            continue
        robust, test_robust = (sum(one) / len(one) for one in found)
        yield {
            **row,
            "clean": last.valid_clean,
            "robust": robust,
            "survivors": pack(found[0]),
            "test_robust": test_robust,
            "test_survivors": pack(found[1]),
        }


def survivors(config: "TrainConfig", model: "nn.Module", part: "Images") -> list[bool]:
    """Return which images survive as at the end of a trial; signs of masking are not looked for."""
    import torch

    from regmix.engine import ENGINE
    from regmix.evaluation.apgd_levels import after_apgd
    from regmix.evaluation.attack_settings import AttackSettings
    from regmix.evaluation.judged_network import judged
    from regmix.evaluation.validator import Validator

    judge = Validator(config, part, torch.device("cpu"))
    alive, settings = judge.per_epoch(model).robust_mask, AttackSettings(config.eval_epsilon, 0)
    network = judged(model, judge.images, ENGINE)
    left = after_apgd(network, judge.images, judge.labels, alive, settings, steps=20, targets=3)
    return left.tolist()


def verdicts(rows: Mapping[int, Mapping[str, Any]]) -> tuple[Verdicts, Verdicts]:
    """Return which validation and which test images survive, both (models, images)."""
    from regmix.evaluation.results import unpack

    whole = [row for row in rows.values() if "failed" not in row]
    return tuple(  # type: ignore[return-value]
        np.array([unpack(row[key], 4 * len(row[key])) for row in whole])
        for key in ("survivors", "test_survivors")
    )


def better(parts: tuple[Verdicts, Verdicts], count: int) -> tuple[Verdicts, Verdicts]:
    """Return the best models by all images together, a choice that favours neither part."""
    values = np.concatenate(parts, axis=1).mean(axis=1)
    best = np.argsort(-values, kind="stable")[:count]
    return parts[0][best], parts[1][best]


def shown() -> Iterator[Table]:
    """Yield a table for each data set that has rows."""
    for data, path in (("digits", RESULTS / "trainings-regmix-digits.jsonl"), ("cifar10", ROWS)):
        rows = read(path)
        if not rows:
            continue
        table = Table(title=f"{data}: Spearman of validation and test values", box=None)
        for name in ("models", "images", "observed", "ceiling", "95 %", "ratio", "p", "Pearson's"):
            table.add_column(name, justify="right")
        every = verdicts(rows)
        models = len(every[0])
        for best in sorted({models, models // 2, max(10, models // 10)}, reverse=True):
            parts = better(every, best)
            for few, many in COUNTS[data]:
                whole = (few, many) == (every[0].shape[1], every[1].shape[1])
                found = ranks(*parts, (few, many))
                table.add_row(
                    f"best {best} of {models}",
                    f"{few:,} / {many:,}",
                    f"{found.observed:.3f}",
                    f"{found.ceiling:.3f}",
                    f"{found.low:.3f} to {found.high:.3f}",
                    f"{found.observed / found.ceiling:.3f}",
                    f"{found.below:.2f}" if whole else "-",
                    f"{found.linear:.3f}",
                )
        yield table


def main(words: Sequence[str]) -> int:
    """Train and judge what is missing, or print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["measure", "table"])
    parser.add_argument("--data-dir", help="train/ and test/ class folders")
    parser.add_argument("--count", type=int, default=20, help="configurations (default: 20)")
    args = parser.parse_args(words)
    if args.what == "measure":
        with ROWS.open("a") as file:
            for row in measured(args.data_dir, args.count):
                file.write(json.dumps(row, separators=(",", ":")) + "\n")
                file.flush()
        return 0
    for table in shown():
        Console(width=110).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
