"""AutoAttack behind one door, so that the package that runs it can be replaced."""

import sys

import torch
from torch import Tensor, nn

from regmix.errors import InputError


def autoattack(
    model: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float, seed: int, batch_size: int
) -> Tensor:
    """Run AutoAttack's standard L-inf ensemble (Croce and Hein, ICML 2020).

    APGD-CE, APGD-T, FAB-T and Square with their published budgets: about 5,000 forward passes
    for an image that survives. With 3 classes or fewer the targeted losses do not exist: then
    APGD-CE, FAB and Square run.

    Args:
        model: images in [0, 1] to logits, in eval mode.
        images, labels: (N, C, H, W) and (N,) on the model's device.
        epsilon: radius, pixels in [0, 1].
        seed: of the attacks' randomness.
        batch_size: images at once.

    Returns:
        (N,) bool, True where the image survived everything.

    Raises:
        InputError: where the package is not installed.
    """
    try:
        from pyautoattack import AutoAttack
    except ImportError:
        raise InputError(
            "--autoattack: needs the package pyautoattack; install it by pip install -e '.[eval]'"
        ) from None
    with torch.no_grad():
        classes = model(images[:1]).shape[1]
    few = {"version": "custom", "attacks": ["apgd-ce", "fab", "square"]} if classes < 4 else {}
    attack = AutoAttack(model, device=images.device, eps=epsilon, seed=seed, **few)
    for targeted in (attack.apgd_targeted, attack.fab):
        targeted.n_target_classes = min(9, classes - 1)
    trace = sys.gettrace()  # its check for dynamic defences clears it: no debugger, no coverage
    try:
        with torch.random.fork_rng(devices=[images.device] if images.is_cuda else []):
            worst, _ = attack.run_standard_evaluation(images, labels, batch_size=batch_size)
    finally:
        sys.settrace(trace)
    worst = worst.to(images.device)
    assert (worst - images).abs().max() <= epsilon + 1e-5, "AutoAttack left the ball"
    with torch.no_grad():
        answers = [model(part).argmax(1) for part in worst.split(batch_size)]
    survived: Tensor = torch.cat(answers) == labels
    return survived
