"""Do other targets and another loss find more with as many steps of Auto-PGD?

    python benchmarks/targets.py measure digits                        # own models, a row for each
    python benchmarks/targets.py measure cifar10 --data-dir FOLDER
    python benchmarks/targets.py table

The levels of `regmix/evaluation/apgd_levels.py` are APGD on cross-entropy and then APGD-T. Tried
here, each alone and together, beside targets in the order of the logits, as AutoAttack has them:

- margins scaled by their gradients put the targets in order (MALT; Melamed et al., NeurIPS 2024),
  which is how the levels now go about it;
- the margin of the probabilities is the loss in place of cross-entropy, or of the targeted DLR loss
  (PMA; Xie et al., CVPR 2025).

Every way attacks the test images that survive the first level. What no way nor AutoAttack finds is
the reference, so that a gap is what a way misses. Work is counted: images that pass the network.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from numpy.typing import NDArray
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.trainings import configurations
from pipeline.problem.exported import load_part
from pipeline.problem.problem import SearchProblem
from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.autoattack import autoattack, nearest
from regmix.evaluation.results import pack, unpack
from regmix.evaluation.validator import Validator
from regmix.training.trainer import RegMixTrainer

ROWS = Path(__file__).parent / "results" / "targets.jsonl"
LEVELS = {"trial": (20, 3), "finalist": (100, 9)}
"""Level -> steps of each attack, and targets."""
MODELS: dict[str, tuple[int, int, dict[str, Any]]] = {
    "digits": (8, 400, {}),
    "cifar10": (
        3,
        400,
        {
            "data": "image_folder",
            "model": "small_cnn",
            "width": 8,
            "train_images": 3000,
            "valid_images": 100,
            "finalist_images": None,
            "epochs": 6,
            "eval_every": 6,
            "batch_size": 64,
            "schedule": "cosine",
            "averaging_decay": 0.99,
        },
    ),
}
"""Data -> models, test images, and what replaces the recipe's values."""


def probability_margin(logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
    """Return (N,) probability of the target, or the likeliest wrong class, less the label's."""
    shares, own = logits.softmax(1), labels[:, None]
    if targets is None:
        other = shares.scatter(1, own, -1.0).amax(1)
    else:
        other = shares.gather(1, targets[:, None]).squeeze(1)
    return other - shares.gather(1, own).squeeze(1)


def ranked(model: nn.Module, images: Tensor, labels: Tensor, *, scaled: bool) -> Tensor:
    """Return (N, targets) wrong classes: by logits, or where scaled by linear distance."""
    if scaled:
        return nearest(model, images, labels)
    with torch.no_grad():
        return model(images).scatter(1, labels[:, None], -torch.inf).argsort(1).flip(1)[:, :-1]


class Untargeted(APGDAttack):
    """Auto-PGD on the margin of the probabilities, which stands where the DLR loss did."""

    def dlr_loss(self, x: Tensor, y: Tensor) -> Tensor:
        """Return (N,) losses of logits (N, K) and labels (N,)."""
        return probability_margin(x, y)


class Targeted(APGDAttack_targeted):
    """The same towards `y_target`."""

    def dlr_loss_targeted(self, x: Tensor, y: Tensor) -> Tensor:
        """Return (N,) losses of logits (N, K) and labels (N,)."""
        return probability_margin(x, y, self.y_target)


@dataclass(frozen=True)
class Way:
    """How a level attacks.

    first, then: attack without and with targets; loss: what the library calls the first's.
    scaled: whether targets come by scaled margins, or else by logits.
    more: share of further steps, for an equal amount of work.
    """

    first: type[APGDAttack] = APGDAttack
    loss: str = "ce"
    then: type[APGDAttack_targeted] = APGDAttack_targeted
    scaled: bool = False
    more: float = 0.0


_MARGIN: dict[str, Any] = {"first": Untargeted, "loss": "dlr"}
WAYS = {
    "by logits": Way(),
    "an eighth more steps": Way(more=1 / 8),
    "MALT's order": Way(scaled=True),
    "margin first": Way(**_MARGIN),
    "margin towards targets": Way(then=Targeted),
    "margin in both": Way(**_MARGIN, then=Targeted),
    "margin first, MALT's order": Way(**_MARGIN, scaled=True),
    "margin in both, MALT's order": Way(**_MARGIN, then=Targeted, scaled=True),
}

TRIED = {
    "trial": tuple(WAYS),
    "finalist": ("by logits", "MALT's order", "margin in both", "margin in both, MALT's order"),
}
"""Level -> ways that are measured at it; those of many steps are dear."""


class Counted(nn.Module):
    """A network that counts the images that pass through it."""

    def __init__(self, network: nn.Module) -> None:
        """Stand before a network in eval mode."""
        super().__init__()
        self.network, self.passed = network.eval(), 0

    def forward(self, images: Tensor) -> Tensor:
        """Return the network's logits (N, K)."""
        self.passed += len(images)
        logits: Tensor = self.network(images)
        return logits


def survivors(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    alive: Tensor,
    epsilon: float,
    way: Way,
    level: str,
) -> Tensor:
    """Return (N,) bool: which images of `alive` survive a level.

    Args:
        model: network from pixels in [0, 1] to logits, in eval mode.
        images, labels: (N, C, H, W) and (N,).
        alive: (N,) bool, the images that are attacked.
        epsilon: radius of the L-inf ball, pixels in [0, 1].
        way: how.
        level: name in `LEVELS`.
    """
    (steps, targets), alive = LEVELS[level], alive.clone()
    how = {"n_iter": round(steps * (1 + way.more)), "eps": epsilon, "device": images.device}
    first, then = way.first(model, loss=way.loss, **how), way.then(model, **how)

    def attack(method: APGDAttack, left: Tensor) -> None:
        method.init_hyperparam(images[left])
        alive[left] = method.attack_single_run(images[left], labels[left])[1]

    torch.manual_seed(0)
    attack(first, alive.nonzero().squeeze(1))
    torch.manual_seed(0)
    left = alive.nonzero().squeeze(1)
    place = torch.zeros_like(labels)
    place[left] = torch.arange(len(left))
    order = ranked(model, images[left], labels[left], scaled=way.scaled)
    for turn in range(min(targets, order.shape[1])):
        left = alive.nonzero().squeeze(1)
        if not len(left):
            break
        then.y_target = order[place[left], turn]
        attack(then, left)
    return alive


def measured(data: str, data_dir: str | None) -> Iterator[dict[str, Any]]:
    """Train models of the space `regmix`; yield what survives each way, and AutoAttack."""
    torch.set_num_threads(1)
    count, images, changes = MODELS[data]
    given = {**changes, **({"data_dir": data_dir} if data_dir else {})}
    problem = SearchProblem.load("regmix", data, given).with_seed(0)
    config, known = problem.config({}), {(row["data"], row["number"]) for row in read()}
    parts, test = config.split(load_part(config, "train")), load_part(config, "test").first(images)
    for number, params in configurations(problem, count):
        if (data, number) in known:
            continue
        config = problem.config(params)
        trainer = RegMixTrainer(config, parts, torch.device("cpu"))
        for _ in trainer.epochs():
            pass
        judge = Validator(config, test, torch.device("cpu"))
        network, epsilon = Counted(trainer.average.model), config.eval_epsilon
        alive, x, y = judge.per_epoch(network).robust_mask, judge.images, judge.labels
        row: dict[str, Any] = {"data": data, "number": number, "images": len(x)}
        row["attacked"], row["found"] = int(alive.sum()), {}
        left = alive.clone()
        for level in LEVELS:
            for name in TRIED[level]:
                network.passed = 0
                survived = survivors(network, x, y, alive, epsilon, WAYS[name], level)
                left &= survived
                found = {"survivors": pack(survived.tolist()), "passed": network.passed}
                row["found"][f"{level}: {name}"] = found
        left[left.clone()] = autoattack(network, x[left], y[left], AttackSettings(epsilon, 0))
        yield {**row, "reference": pack(left.tolist())}


def read() -> list[dict[str, Any]]:
    """Return the rows that were measured so far."""
    return [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def shown(rows: Sequence[Mapping[str, Any]], data: str) -> Table:
    """Return a line for each way: its gap, work, and images beside those of targets by logits."""
    own = [row for row in rows if row["data"] == data]
    images = sum(row["images"] for row in own)
    table = Table(title=f"{data}: {len(own)} models, {images:,} images", box=None)
    for name in ("level and way", "gap", "largest", "more found", "fewer found", "passes"):
        table.add_column(name, justify="left" if name == "level and way" else "right")
    for level in LEVELS:
        base = [_bits(row, row["found"][f"{level}: by logits"]["survivors"]) for row in own]
        for way in TRIED[level]:
            name = f"{level}: {way}"
            found = [_bits(row, row["found"][name]["survivors"]) for row in own]
            gaps = [
                (one & ~_bits(row, row["reference"])).mean()
                for one, row in zip(found, own, strict=True)
            ]
            pairs = list(zip(base, found, strict=True))
            passed = sum(row["found"][name]["passed"] for row in own)
            table.add_row(
                name,
                f"{np.mean(gaps):.4f}",
                f"{max(gaps):.4f}",
                str(sum(int((before & ~now).sum()) for before, now in pairs)),
                str(sum(int((now & ~before).sum()) for before, now in pairs)),
                f"{passed / sum(row['attacked'] for row in own):.1f}",
            )
    return table


def _bits(row: Mapping[str, Any], packed: str) -> NDArray[np.bool_]:
    return np.array(unpack(packed, row["images"]))


def main(words: Sequence[str]) -> int:
    """Measure what is missing, or print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["measure", "table"])
    parser.add_argument("data", nargs="?", choices=list(MODELS), default="digits")
    parser.add_argument("--data-dir", help="train/ and test/ class folders")
    args = parser.parse_args(words)
    if args.what == "measure":
        with ROWS.open("a") as file:
            for row in measured(args.data, args.data_dir):
                file.write(json.dumps(row, separators=(",", ":")) + "\n")
                file.flush()
        return 0
    rows = read()
    for data in sorted({row["data"] for row in rows}, reverse=True):
        Console(width=110).print(shown(rows, data))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
