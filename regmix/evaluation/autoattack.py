"""AutoAttack and its parts behind one door, so that the package that runs them can be replaced."""

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator

import torch
from pyautoattack import AutoAttack
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from pyautoattack.square import SquareAttack
from torch import Tensor, nn

from regmix.evaluation.batching import batched

Perturb = Callable[[Tensor, Tensor], Tensor]  # images (N, C, H, W), labels (N,) -> worse images


def apgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    steps: int,
    targets: int = 0,
    seed: int,
    batch_size: int,
) -> Tensor:
    """Run Auto-PGD (Croce and Hein, ICML 2020): a PGD that chooses its own step lengths.

    Args:
        model: images in [0, 1] to logits, in eval mode.
        images, labels: (N, C, H, W) and (N,) on the model's device.
        epsilon: radius, pixels in [0, 1].
        steps: for each target.
        targets: 0 raises the cross-entropy (APGD-CE); otherwise the targeted DLR loss towards
            so many of the likeliest wrong classes, one after the other (APGD-T). That loss does
            not exist for fewer than 4 classes: then every image survives.
        seed: of the random start.
        batch_size: images at once; halved where memory runs out.

    Returns:
        (N,) bool, True where the image survived.
    """
    how = {"n_iter": steps, "eps": epsilon, "seed": seed, "device": images.device}
    if not targets:
        attack = APGDAttack(model, **how)
    else:
        classes = _classes(model, images)
        if classes < 4:
            return torch.ones_like(labels, dtype=torch.bool)
        attack = APGDAttack_targeted(model, n_target_classes=min(targets, classes - 1), **how)
    return _survived(model, attack.perturb, images, labels, epsilon, batch_size)


def square(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epsilon: float,
    queries: int,
    seed: int,
    batch_size: int,
) -> Tensor:
    """Run Square (Andriushchenko et al., ECCV 2020), which asks for answers only, no gradients.

    Takes and returns what `apgd` does; `queries` forward passes for an image that survives.
    """
    attack = SquareAttack(
        model, n_queries=queries, eps=epsilon, seed=seed, device=images.device, verbose=False
    )
    return _survived(model, attack.perturb, images, labels, epsilon, batch_size)


def autoattack(
    model: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float, seed: int, batch_size: int
) -> Tensor:
    """Run AutoAttack's standard L-inf ensemble (Croce and Hein, ICML 2020).

    APGD-CE, APGD-T, FAB-T and Square with their published budgets: about 5,000 forward passes
    for an image that survives. With 3 classes or fewer the targeted losses do not exist: then
    APGD-CE, FAB and Square run. Takes and returns what `apgd` does.
    """
    classes = _classes(model, images)
    few = {"version": "custom", "attacks": ["apgd-ce", "fab", "square"]} if classes < 4 else {}
    attack = AutoAttack(model, device=images.device, eps=epsilon, seed=seed, **few)
    for targeted in (attack.apgd_targeted, attack.fab):
        targeted.n_target_classes = min(9, classes - 1)

    def perturb(x: Tensor, y: Tensor) -> Tensor:
        worst: Tensor = attack.run_standard_evaluation(x, y, batch_size=len(x))[0]
        return worst

    return _survived(model, perturb, images, labels, epsilon, batch_size)


def _survived(
    model: nn.Module,
    perturb: Perturb,
    images: Tensor,
    labels: Tensor,
    epsilon: float,
    batch_size: int,
) -> Tensor:
    """Ask the model itself about the points that an attack returns."""

    def run(part: Tensor) -> Tensor:
        with _traceless(), _frozen(model), _own_randomness(images), warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of zero gradients, which `regmix.evaluation.masking` counts
            worst = perturb(images[part], labels[part]).to(images.device)
        assert (worst - images[part]).abs().max() <= epsilon + 1e-5, "an attack left the ball"
        with torch.no_grad():
            survived: Tensor = model(worst).argmax(1) == labels[part]
        return survived

    return batched(run, torch.arange(len(images), device=images.device), batch_size)


@contextlib.contextmanager
def _traceless() -> Iterator[None]:
    """Restore the trace function, which the check for dynamic defences clears."""
    trace = sys.gettrace()
    try:
        yield
    finally:
        sys.settrace(trace)


@contextlib.contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Ask no gradient of the weights: FAB would leave it in them."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in trained:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in trained:
            weight.requires_grad_(True)


def _own_randomness(images: Tensor) -> contextlib.AbstractContextManager[None]:
    return torch.random.fork_rng(devices=[images.device] if images.is_cuda else [])


@torch.no_grad()
def _classes(model: nn.Module, images: Tensor) -> int:
    return int(model(images[:1]).shape[1]) if len(images) else 0
