"""AutoAttack and its parts behind one door, so that the package that runs them can be replaced."""

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from pyautoattack import AutoAttack
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from pyautoattack.square import SquareAttack
from torch import Tensor, nn

from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.batching import batched
from regmix.evaluation.results import FEWEST_TARGETED
from regmix.finite import Finite, finite
from regmix.progress import Phase, Progress, unheard

Perturb = Callable[[Tensor, Tensor], Tensor]  # images (N, C, H, W), labels (N,) -> worse images


def apgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    *,
    steps: int,
    targets: int = 0,
) -> Tensor:
    """Run Auto-PGD (Croce and Hein, ICML 2020): a PGD that chooses its own step lengths.

    Args:
        model: network from pixels in [0, 1] to logits, in eval mode.
        images, labels: (N, C, H, W) and (N,) on the model's device.
        settings: radius, seed and batch size.
        steps: number of steps for each target.
        targets: 0 raises the cross-entropy (APGD-CE); a higher number is that of wrong classes
            which the targeted DLR loss aims at, one after the other (APGD-T), those of `nearest`
            first. That loss does not exist for fewer than 4 classes: then every image survives.

    Returns:
        (N,) bool, True where the image survived.

    Raises:
        NonFiniteError: where logits are NaN or infinite, wherever the attack looks.
    """
    model = Finite(model)
    common = {
        "n_iter": steps,
        "eps": settings.epsilon,
        "seed": settings.seed,
        "device": images.device,
    }
    if not targets:
        attack = APGDAttack(model, **common)
    else:
        classes = width(model, images)
        if classes < FEWEST_TARGETED:
            return torch.ones_like(labels, dtype=torch.bool)
        attack = NearestFirst(model, n_target_classes=min(targets, classes - 1), **common)
    return _survived(model, attack.perturb, images, labels, settings)


class NearestFirst(APGDAttack_targeted):  # type: ignore[misc]
    """APGD-T in another order of its targets: see `nearest`."""

    def perturb(self, x: Tensor, y: Tensor) -> Tensor:
        """Return (N, C, H, W) images within the ball, fooled where that was found."""
        self.init_hyperparam(x)
        torch.manual_seed(self.seed)
        alive, worst = self.model(x).argmax(1) == y, x.clone()
        order = nearest(self.model, x, y)
        for turn in range(min(self.n_target_classes, order.shape[1])):
            left = alive.nonzero().squeeze(1)
            if not len(left):
                break
            self.y_target = order[left, turn]
            _, survived, _, found = self.attack_single_run(x[left], y[left])
            worst[left[~survived]] = found[~survived]
            alive[left] = survived
        return worst


def nearest(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return (N, at most 9) wrong classes, first those whose linear boundary is nearest.

    The distance in the L-inf norm is the margin of the logits over the L1 norm of its gradient, as
    by MALT (Melamed et al., NeurIPS 2024); the nine likeliest classes are put in order. By
    logits alone, which AutoAttack goes by, few targets are worse chosen (`benchmarks/README.md`).

    Args:
        model: network from pixels in [0, 1] to logits, in eval mode.
        images, labels: (N, C, H, W) and (N,).
    """
    point = images.clone().requires_grad_()
    with torch.enable_grad():
        logits = model(point)
        margins = logits.gather(1, labels[:, None]) - logits
    likely = margins.detach().scatter(1, labels[:, None], torch.inf).argsort(1)[:, :-1][:, :9]
    distances = torch.empty_like(likely, dtype=margins.dtype)
    for k in range(likely.shape[1]):
        (slope,) = torch.autograd.grad(
            margins.gather(1, likely[:, k : k + 1]).sum(), point, retain_graph=True
        )
        lengths = slope.abs().flatten(1).sum(1).clamp_min(1e-12)
        distances[:, k] = margins.detach().gather(1, likely[:, k : k + 1]).squeeze(1) / lengths
    order: Tensor = likely.gather(1, distances.argsort(stable=True, dim=1))
    return order


def square(
    model: nn.Module, images: Tensor, labels: Tensor, settings: AttackSettings, *, queries: int
) -> Tensor:
    """Run Square (Andriushchenko et al., ECCV 2020), which asks for answers only, no gradients.

    Takes and returns what `apgd` does; `queries` is the number of forward passes for an image
    that survives.
    """
    model = Finite(model)
    attack = SquareAttack(
        model,
        n_queries=queries,
        eps=settings.epsilon,
        seed=settings.seed,
        device=images.device,
        verbose=False,
    )
    return _survived(model, attack.perturb, images, labels, settings)


def autoattack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
    progress: Progress = unheard,
) -> Tensor:
    """Run AutoAttack's standard L-inf ensemble (Croce and Hein, ICML 2020).

    APGD-CE, APGD-T, FAB-T and Square with their published budgets: about 5,000 forward passes
    for an image that survives. With 3 classes or fewer the targeted losses do not exist: then
    APGD-CE, FAB and Square run, see `autoattack_name`. Takes and returns what `apgd` does;
    `progress` hears of each of them.
    """
    model = Finite(model)
    classes = width(model, images)
    few = {"version": "custom", "attacks": ["apgd-ce", "fab", "square"]}
    chosen: dict[str, Any] = few if classes < FEWEST_TARGETED else {}
    attack = AutoAttack(
        model, device=images.device, eps=settings.epsilon, seed=settings.seed, **chosen
    )
    for targeted in (attack.apgd_targeted, attack.fab):
        targeted.n_target_classes = min(9, classes - 1)
    parts = {"APGD-CE": attack.apgd, "APGD-T": attack.apgd_targeted, "FAB": attack.fab}
    parts["Square"] = attack.square
    if chosen:
        del parts["APGD-T"]
    for place, (name, part) in enumerate(parts.items(), start=1):
        phase = Phase("attacking", place, len(parts), f"AutoAttack's {name}")
        part.perturb = _told(part.perturb, phase, progress)

    def perturb(x: Tensor, y: Tensor) -> Tensor:
        worst: Tensor = attack.run_standard_evaluation(x, y, batch_size=len(x))[0]
        return worst

    return _survived(model, perturb, images, labels, settings)


def _told(perturb: Perturb, phase: Phase, progress: Progress) -> Perturb:
    """Return an attack that tells when it begins."""

    def run(images: Tensor, labels: Tensor) -> Tensor:
        progress(phase)
        return perturb(images, labels)

    return run


def autoattack_name(classes: int) -> str:
    """Return what `autoattack` runs for so many classes, in words."""
    return "AutoAttack" if classes >= FEWEST_TARGETED else "APGD-CE, FAB and Square"


def _survived(
    model: nn.Module,
    perturb: Perturb,
    images: Tensor,
    labels: Tensor,
    settings: AttackSettings,
) -> Tensor:
    """Ask the model itself about the points that an attack returns."""

    def run(part: Tensor) -> Tensor:
        with _traceless(), _frozen(model), _own_randomness(images), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of zero gradients, which `masking` counts
            worst = perturb(images[part], labels[part]).to(images.device)
            finite(worst, "attacked images")
        assert (worst - images[part]).abs().max() <= settings.epsilon + 1e-5, (
            "an attack left the ball"
        )
        with torch.no_grad():
            survived: Tensor = model(worst).argmax(1) == labels[part]
        return survived

    return batched(run, torch.arange(len(images), device=images.device), settings.batch_size)


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
def width(model: nn.Module, images: Tensor) -> int:
    """Return the number of a network's logits; 0 where there is no image to ask with."""
    return int(model(images[:1]).shape[1]) if len(images) else 0
