"""PGD, and the ensemble of two of them that each epoch of training is evaluated by."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regmix.finite import finite
from regmix.projection import project

Objective = Literal["cross_entropy", "margin"]
StepSchedule = Literal["falling", "constant"]
_ENSEMBLE: dict[int, Objective] = {2: "cross_entropy", 3: "margin"}  # row among the masks


def falling(progress: float) -> float:
    """Return (1 + cos(pi p)) / 2, the share of the first step's length after a share p of them.

    Half a cosine from 1 to 0, as Auto-PGD's halved steps and MD attacks' annealed ones fall too: a
    step as long as the radius leaves a poor start at once, short ones find the very edge.
    """
    return (1 + math.cos(math.pi * progress)) / 2


def first_step(epsilon: float, schedule: StepSchedule) -> float:
    """Return the length of a PGD's first step, pixels in [0, 1].

    The whole radius where steps fall; a quarter of it where they stay, 2/255 at 8/255, the custom.
    """
    return epsilon if schedule == "falling" else epsilon / 4


def random_start(images: Tensor, epsilon: float, seed: int) -> Tensor:
    """Return uniform noise in the ball (N, C, H, W): the same for the same seed and shape.

    Drawn on the CPU for the whole set at once, so that neither the batch size nor the device
    changes an image's start.
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(images.shape, generator=generator).mul_(2).sub_(1).mul_(epsilon)
    return noise.to(images.device)


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    start: Tensor,
    *,
    epsilon: float,
    step: float,
    steps: int,
    schedule: StepSchedule = "constant",
    objective: Objective = "cross_entropy",
) -> tuple[Tensor, Tensor]:
    """Attack until an image is misclassified or the steps are used up.

    Madry et al., ICLR 2018. Images that are fooled leave the batch, so the cost is that of the
    survivors. Leaves no gradient behind; in eval mode BN statistics are safe.

    Args:
        model: network from pixels in [0, 1] to logits, in eval mode.
        images: (N, C, H, W), pixels in [0, 1].
        labels: (N,) int64.
        start: (N, C, H, W) initial perturbations, projected before the first step.
        epsilon, step: radius of the L-inf ball and length of the first step, pixels in [0, 1].
        steps: number of steps; the point after the last one is tried too.
        schedule: `constant`, or `falling`, which begins with `step` and ends near 0.
        objective: `cross_entropy`, or `margin`, max_{k != y} z_k - z_y (Carlini and Wagner's,
            which smoothed labels and logit penalties can't flatten).

    Returns:
        (N,) bool, True where the image survived, and (N, C, H, W) the last perturbations.

    Raises:
        NonFiniteError: where logits or gradients are NaN or infinite.
    """
    assert not model.training, "evaluate in eval mode, or answers depend on the batch"
    perturbation = project(start, images, epsilon)
    alive = torch.arange(len(images), device=images.device)
    survived = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for taken in range(steps + 1):
        point = perturbation[alive].requires_grad_(taken < steps)
        x, y = images[alive], labels[alive]
        with torch.set_grad_enabled(taken < steps):
            logits = finite(model(x + point).float(), "logits")
        robust = logits.argmax(1) == y
        if taken == steps:
            survived[alive[robust]] = True
        elif robust.any():
            (gradient,) = torch.autograd.grad(_ascended(logits, y, objective), point)
            finite(gradient, "gradients of the attacked images")
            length = step if schedule == "constant" else step * falling(taken / steps)
            moved = project(point.detach() + length * gradient.sign(), x, epsilon)
            alive = alive[robust]
            perturbation[alive] = moved[robust]
        else:
            break
    return survived, perturbation


def _ascended(logits: Tensor, labels: Tensor, objective: Objective) -> Tensor:
    """Return the sum over images of what the attack raises."""
    if objective == "cross_entropy":
        return F.cross_entropy(logits, labels, reduction="sum")
    own = logits.gather(1, labels[:, None]).squeeze(1)
    others = logits.scatter(1, labels[:, None], -math.inf)
    return (others.amax(1) - own).sum()


@torch.no_grad()
def correct(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return (N,) bool, True where the model in eval mode is correct on the image itself."""
    found: Tensor = finite(model(images), "logits").argmax(1) == labels
    return found


@dataclass(frozen=True, eq=False)  # tensors have no single answer to ==
class Validation:
    """Validation images that are classified correctly under attack, each mask (N,) bool."""

    clean_mask: Tensor
    fgsm_mask: Tensor  # after one full step from the image itself
    pgd_mask: Tensor  # after PGD on cross-entropy
    robust_mask: Tensor  # after every attack of the ensemble: that PGD, then one on the margin
    steps: int  # number of steps of each PGD
    schedule: StepSchedule  # of their lengths

    @property
    def clean(self) -> float:
        """Share of images, in [0, 1], that are correct without an attack."""
        return _share(self.clean_mask)

    @property
    def fgsm(self) -> float:
        """Share that is correct after one full step."""
        return _share(self.fgsm_mask)

    @property
    def pgd(self) -> float:
        """Share that survives PGD on cross-entropy."""
        return _share(self.pgd_mask)

    @property
    def robust(self) -> float:
        """Share that survives every attack of the ensemble."""
        return _share(self.robust_mask)

    def followed_by(self, other: "Validation") -> "Validation":
        """Return the validation of these images and then those of another, by the same attacks."""
        return Validation(
            torch.cat([self.clean_mask, other.clean_mask]),
            torch.cat([self.fgsm_mask, other.fgsm_mask]),
            torch.cat([self.pgd_mask, other.pgd_mask]),
            torch.cat([self.robust_mask, other.robust_mask]),
            self.steps,
            self.schedule,
        )


def _share(survived: Tensor) -> float:
    return int(survived.sum()) / len(survived)


def validate(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    start: Tensor,
    *,
    epsilon: float,
    steps: int,
    schedule: StepSchedule = "falling",
    batch_size: int = 1000,
) -> Validation:
    """Evaluate a model after an epoch: the first level, by which a search prunes.

    Args:
        model: network from pixels in [0, 1] to logits, in eval mode.
        images, labels: (N, C, H, W), pixels in [0, 1], and (N,) int64.
        start: (N, C, H, W) initial perturbations of each PGD.
        epsilon: radius of the L-inf ball, pixels in [0, 1].
        steps: number of steps of each PGD.
        schedule: of their lengths, see `first_step`.
        batch_size: number of images at once; changes speed and memory only.
    """
    masks = torch.zeros(4, len(images), dtype=torch.bool, device=images.device)
    for batch in torch.arange(len(images), device=images.device).split(batch_size):
        keep = batch[correct(model, images[batch], labels[batch])]
        masks[0, keep] = True
        masks[1, keep] = full_step(model, images[keep], labels[keep], epsilon=epsilon)
        for place, objective in _ENSEMBLE.items():
            alive, _ = pgd(
                model,
                images[keep],
                labels[keep],
                start[keep],
                epsilon=epsilon,
                step=first_step(epsilon, schedule),
                steps=steps,
                schedule=schedule,
                objective=objective,
            )
            keep = keep[alive]
            masks[place, keep] = True
    clean, fgsm, by_entropy, by_all = masks
    return Validation(clean, fgsm, by_entropy, by_all, steps, schedule)


def full_step(model: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float) -> Tensor:
    """Return (N,) bool, True where an image survives FGSM: one step of `epsilon` from itself."""
    zero = torch.zeros_like(images)
    return pgd(model, images, labels, zero, epsilon=epsilon, step=epsilon, steps=1)[0]
