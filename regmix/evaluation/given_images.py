"""How robust a network is on images that somebody gives: the finalists' attacks, in one call."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regmix.errors import InputError, first_line, shown
from regmix.evaluation.apgd_levels import evaluate_finalist
from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.autoattack import autoattack as run_autoattack
from regmix.evaluation.autoattack import autoattack_name
from regmix.evaluation.batching import among
from regmix.evaluation.judged_network import engine_for, judged
from regmix.evaluation.pgd_ensemble import random_start, validate
from regmix.evaluation.results import Masking, Proportion, apgd_name, unpack
from regmix.ranges import PositiveUnitInterval, Seed, check

_STEPS = 10  # of each PGD, whose lengths fall: what a validation has by default
_PLACE = "evaluate"


@dataclass(frozen=True)
class Evaluation:
    """Which images a network classifies correctly, clean and under the strongest of all attacks."""

    correct: tuple[bool, ...]  # of each image, without an attack
    survivors: tuple[bool, ...]  # of each image: correct under every attack
    epsilon: float  # radius of the L-inf ball, pixels in [0, 1]
    attacks: tuple[str, ...]  # in words, in the order in which they ran
    masking: Masking  # signs that attacks by gradients were misled
    under_autoattack: tuple[bool, ...] | None = None  # of each image, by AutoAttack alone

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.correct)

    @property
    def clean(self) -> float:
        """Share of the images, in [0, 1], that are correct without an attack."""
        return _share(self.correct).value

    @property
    def clean_interval(self) -> tuple[float, float]:
        """Its Wilson score interval at 95 %."""
        return _share(self.correct).interval

    @property
    def robust(self) -> float:
        """Share of the images, in [0, 1], that survive every attack."""
        return _share(self.survivors).value

    @property
    def robust_interval(self) -> tuple[float, float]:
        """Its Wilson score interval at 95 %."""
        return _share(self.survivors).interval

    @property
    def autoattack(self) -> float | None:
        """Share of the images that survive AutoAttack alone; None where it did not run."""
        return None if self.under_autoattack is None else _share(self.under_autoattack).value

    @property
    def doubts(self) -> tuple[str, ...]:
        """A sentence for each sign of gradient masking, which would make `robust` too high."""
        return self.masking.flags(self.count, _STEPS)

    def __str__(self) -> str:
        (low, high), (least, most) = self.robust_interval, self.clean_interval
        words = (
            f"robust {self.robust:.3f} (95 % interval {low:.3f} to {high:.3f}) at epsilon "
            f"{self.epsilon:.4g}, clean {self.clean:.3f} ({least:.3f} to {most:.3f}), of "
            f"{self.count:,} images"
        )
        return "; ".join([words, *(f"gradient masking? {doubt}" for doubt in self.doubts)])


def evaluate(
    model: nn.Module,
    images: Tensor | NDArray[Any],
    labels: Tensor | NDArray[Any] | Sequence[int],
    epsilon: float = 8 / 255,
    *,
    autoattack: bool = False,
    seed: int = 0,
    batch_size: int = 500,
) -> Evaluation:
    """Attack a network as the finalists of a search are attacked; it is left as it was.

    PGD on cross-entropy and on the margin, then APGD-CE and APGD-T of 100 steps and Square on
    those that are left, see `docs/evaluation.md`.

    Args:
        model: network from images to logits (N, K), of any kind; a copy in eval mode is attacked,
            on the model's own device.
        images: (N, C, H, W), pixels in [0, 1].
        labels: (N,) whole numbers in [0, K).
        epsilon: radius of the L-inf ball, pixels in [0, 1].
        autoattack: whether AutoAttack attacks every image that is correct, too; about thirty times
            as slow.
        seed: seed of the random starts.
        batch_size: number of images at once; halved where memory runs out.

    Raises:
        InputError: where images or labels are not as said, or the network can't take them.
        NonFiniteError: where its logits or gradients are NaN or infinite.
    """
    radius = check(_PLACE, "epsilon", epsilon, PositiveUnitInterval)
    settings = AttackSettings(radius, check(_PLACE, "seed", seed, Seed), batch_size)
    where = _device(model)
    x = _pixels(images).to(where)
    classes = _asked(model, x)
    y = _classes(labels, len(x), classes).to(where)
    network, start = judged(model, x, engine_for(model, x)), random_start(x, radius, settings.seed)
    known = validate(
        network, x, y, start, epsilon=radius, steps=_STEPS, batch_size=settings.batch_size
    )
    final = evaluate_finalist(network, x, y, start, known, settings)
    alive, by_autoattack = unpack(final.survivors, len(x)), None
    attacks = ["PGD-10", "PGD-10 on the margin", apgd_name(100, 9, classes), "Square-1000"]
    if autoattack:
        mask = among(
            lambda part: run_autoattack(network, x[part], y[part], settings),
            known.clean_mask,
            settings.batch_size,
        )
        by_autoattack = tuple(mask.tolist())
        alive = [one and other for one, other in zip(alive, by_autoattack, strict=True)]
        attacks.append(autoattack_name(classes))
    return Evaluation(
        correct=tuple(known.clean_mask.tolist()),
        survivors=tuple(alive),
        epsilon=radius,
        attacks=tuple(attacks),
        masking=final.masking,
        under_autoattack=by_autoattack,
    )


def _share(mask: Sequence[bool]) -> Proportion:
    return Proportion(sum(mask), len(mask))


def _device(model: object) -> torch.device:
    if not isinstance(model, nn.Module):
        raise InputError(
            f"{_PLACE}: model must be a torch.nn.Module, but is {shown(model)}; see regmix.load"
        )
    tensors = (*model.parameters(), *model.buffers())
    return tensors[0].device if tensors else torch.device("cpu")


def _pixels(images: object) -> Tensor:
    """Return images as fp32.

    Raises:
        InputError: where they are not (N, C, H, W) in [0, 1].
    """
    pixels = _tensor("images", images)
    if pixels.dim() != 4 or not pixels.numel():
        raise InputError(
            f"{_PLACE}: images must have the shape (N, C, H, W), none of them 0, but have "
            f"{tuple(pixels.shape)}; reshape them"
        )
    if not pixels.is_floating_point():
        raise InputError(
            f"{_PLACE}: images must be real numbers in [0, 1], but are {pixels.dtype}; divide "
            "bytes by 255"
        )
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= 0 and high <= 1):  # nor NaN
        raise InputError(
            f"{_PLACE}: images must lie in [0, 1], as normalisation lies inside the network, but "
            f"reach from {low:.4g} to {high:.4g}; undo what was done to them"
        )
    return pixels.float()


def _classes(labels: object, count: int, classes: int) -> Tensor:
    """Return labels as int64.

    Raises:
        InputError: where they are not (N,) whole numbers in [0, K).
    """
    found = _tensor("labels", labels)
    if found.shape != (count,) or found.is_floating_point() or found.dtype == torch.bool:
        raise InputError(
            f"{_PLACE}: labels must be {count} whole numbers, one for each image, but are "
            f"{found.dtype} of shape {tuple(found.shape)}; correct them"
        )
    if found.min() < 0 or found.max() >= classes:
        raise InputError(
            f"{_PLACE}: labels must lie in [0, {classes - 1}], as there are {classes} logits, but "
            f"reach from {int(found.min())} to {int(found.max())}; number them as in training"
        )
    return found.long()


def _tensor(name: str, values: object) -> Tensor:
    try:
        return torch.as_tensor(values).detach()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{_PLACE}: {name} must be a tensor or an array, but are {shown(values)} "
            f"({first_line(error)}); convert them"
        ) from None


@torch.no_grad()
def _asked(model: nn.Module, images: Tensor) -> int:
    """Return the number of a network's logits.

    Raises:
        InputError: where it can't take such images, or does not answer by logits.
    """
    own, some = copy.deepcopy(model).eval(), images[:2]
    try:
        logits = own(some)
    except RuntimeError as error:
        raise InputError(
            f"{_PLACE}: the network can't take images of shape {tuple(images.shape[1:])} "
            f"({first_line(error)[:90]}); give those that it was trained for"
        ) from None
    if not isinstance(logits, Tensor) or logits.dim() != 2 or len(logits) != len(some):
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise InputError(
            f"{_PLACE}: the network must return logits (N, K), but returns {shape} for {len(some)} "
            "images; wrap it"
        )
    return int(logits.shape[1])
