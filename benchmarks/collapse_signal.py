"""Catastrophic overfitting told by the cosine of two input gradients, beside the rule in use.

    python benchmarks/collapse_signal.py

The gradients of the loss with respect to an image, at its start and at its adversarial point, part
from each other when a network overfits to single steps. Training computes both, so their cosine
would cost nothing (SORA, arXiv 2606.00738). Runs that break down are planted: digits in two greys
hardly further apart than twice the radius, single steps from zero at a high rate, from weights of
sound training. The public logs can't be replayed: they hold no gradients.
"""

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.problem.problem import SearchProblem
from regmix.config import TrainConfig
from regmix.data.digits import digits
from regmix.images import Images, Split, split
from regmix.training.trainer import RegMixTrainer

CPU = torch.device("cpu")
EPOCHS = 10
BASE: dict[str, Any] = {
    "data": "digits",
    "model": "small_cnn",
    "attack": "fgsm",
    "loss": "plain",
    "schedule": "constant",
    "width": 16,
    "averaging_decay": 0.0,
    "batch_size": 32,
    "normalization": "data",
    "weight_decay": 0.0,
    "valid_images": 200,
    "eval_steps": 10,
    "epochs": EPOCHS,
}


class Seen(NamedTuple):
    """What an epoch of a run shows."""

    run: str
    epoch: int
    ratio: float  # of the rule in use: accuracy under PGD over accuracy under FGSM
    cosine: float  # mean over the training images
    detected: bool


def cosine(model: nn.Module, images: Tensor, labels: Tensor, start: Tensor, step: float) -> float:
    """Return the mean cosine of the input gradients at `start` and one step of `step` further.

    Args:
        model: network in eval mode.
        images, labels, start: (N, C, H, W), (N,) and (N, C, H, W), pixels in [0, 1].
        step: length of the step along the gradient's sign, pixels in [0, 1].
    """
    first = _gradient(model, images + start, labels)
    second = _gradient(model, (images + start + step * first.sign()).clamp(0, 1), labels)
    return float(F.cosine_similarity(first.flatten(1), second.flatten(1)).mean())


def _gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    point = images.clone().requires_grad_()
    loss = F.cross_entropy(model(point), labels, reduction="sum")
    return torch.autograd.grad(loss, point)[0]


def followed(run: str, trainer: RegMixTrainer) -> Iterator[Seen]:
    """Train, and yield what each epoch shows."""
    config, images = trainer.config, trainer.images.float() / 255
    noise = 2 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) - 1
    start = noise * (0 if config.initialization == "zero" else config.train_epsilon)
    for metrics in trainer.epochs():
        model = trainer.model.eval()
        found = cosine(model, images, trainer.labels, start, config.train_epsilon)
        yield Seen(run, metrics.epoch, metrics.co_ratio, found, metrics.co_detected)


def planted() -> Iterator[Seen]:
    """Yield the epochs of runs of which some break down."""
    data = _two_greys()
    first = {**BASE, "initialization": "random", "eval_epsilon": 0.09, "eval_steps": 1}
    sound = RegMixTrainer(TrainConfig.from_flat(first), data, CPU)
    list(sound.epochs(until=9))
    for epsilon in (0.11, 0.12):
        for seed in range(6):
            chosen = {**BASE, "initialization": "zero", "lr": 0.3}
            config = TrainConfig.from_flat({**chosen, "eval_epsilon": epsilon, "seed": seed})
            trainer = RegMixTrainer(config, data, CPU)
            trainer.model.load_state_dict(sound.model.state_dict())
            yield from followed(f"two greys {epsilon} {seed}", trainer)


def _two_greys() -> Split:
    whole = digits("train")
    pixels = np.where(whole.images > 127, round(0.65 * 255), round(0.35 * 255)).astype(np.uint8)
    return split(Images(pixels, whole.labels, whole.classes), valid=200, train=400, seed=0)


def sound() -> Iterator[Seen]:
    """Yield the epochs of runs of the recipe that nobody calls overfitted."""
    problem = SearchProblem.load("wamr", "digits", {"epochs": EPOCHS})
    for seed, ratio in enumerate((0.5, 0.75, 1.0, 1.25, 1.5, 1.5)):
        config = problem.with_seed(seed).config({"epsilon_ratio": ratio})
        yield from followed(f"wamr {ratio}", RegMixTrainer(config, _split(config), CPU))


def _split(config: TrainConfig) -> Split:
    return config.split(digits("train"))


def separated(seen: list[Seen]) -> str:
    """Return how well the cosine tells the epochs that the rule calls overfitted from the rest."""
    broken = [one.cosine for one in seen if one.detected]
    rest = [one.cosine for one in seen if not one.detected]
    if not broken:
        return "no run broke down"
    above = statistics.mean(sum(b < r for r in rest) / len(rest) for b in broken)
    return (
        f"{len(broken)} overfitted epochs, cosine {min(broken):.3f} to {max(broken):.3f}; "
        f"{len(rest)} others, {min(rest):.3f} to {max(rest):.3f}; an overfitted epoch lies below "
        f"{above:.1%} of the others"
    )


def main() -> None:
    """Print a line for each epoch, and how well the cosine separates them."""
    torch.set_num_threads(1)
    seen = []
    for one in (*planted(), *sound()):
        seen.append(one)
        flag = "  OVERFITTED" if one.detected else ""
        shown = f"ratio {one.ratio:.2f} cosine {one.cosine:.3f}{flag}"
        print(f"{one.run:16s} epoch {one.epoch:2d} {shown}")
    print(separated(seen))


if __name__ == "__main__":
    main()
