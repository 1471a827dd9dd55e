"""Part `reach`: seconds of training until a robust accuracy under APGD-T, for each loss.

Held-out validation images judge, never test images. A network is asked after each epoch, under
APGD-T with 20 steps towards 3 classes; what that takes is not counted.
"""

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from benchmarks.measures.images import NEEDED, Task, task
from benchmarks.measures.setting import Budget, Row, Setting, skipped
from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.autoattack import apgd
from regmix.evaluation.pgd_ensemble import correct
from regmix.images import Images
from regmix.training.trainer import RegMixTrainer

LOSSES: dict[str, tuple[str, dict[str, object]]] = {
    "wamr": ("regmix", {"gamma": 0.0}),
    "regmix": ("regmix", {}),
    "mse": ("mse", {}),
    "plain": ("plain", {}),
    "agr": ("regmix", {"alpha": 0.0, "beta": 0.0}),
    "trades": ("trades", {}),
    "mart": ("mart", {}),
    "dkl": ("dkl", {}),
    "logit_pairing": ("logit_pairing", {}),
}
_CARD_EPOCHS, _CPU_EPOCHS = 15, 12


def measure(setting: Setting, budget: Budget) -> Iterator[Row]:
    """Yield a row for each loss; a schedule falls to its end within as many epochs as it has."""
    found = task(setting)
    if found is None:
        yield skipped("seconds to a robust accuracy", NEEDED)
        return
    epochs = _CARD_EPOCHS if setting.card else _CPU_EPOCHS
    precision = "bf16" if setting.card else "fp32"
    longest = 0.0
    for name, (loss, options) in LOSSES.items():
        if budget.left < longest:
            yield skipped(f"loss {name}", "its time was up")
            continue
        begun = budget.left
        values = {"epochs": epochs, "schedule": "linear", "precision": precision, **options}
        yield reached(setting, found, name, loss, values)
        longest = max(longest, begun - budget.left)


def reached(setting: Setting, found: Task, name: str, loss: str, values: dict[str, Any]) -> Row:
    """Train with a loss until its averaged weights reach the threshold, or to the end.

    Args:
        setting: device and threshold.
        found: images and recipe.
        name: name of the method, for the row.
        loss: name of its loss.
        values: flat values of the run.

    Returns:
        the row; `seconds` are None where the threshold was not reached.
    """
    config, valid = found.config(loss, **values), found.data.valid
    settings = AttackSettings(config.eval_epsilon, config.eval_seed)
    trainer = RegMixTrainer(config, found.unjudged, setting.device)
    spent, best, begun = 0.0, 0.0, time.perf_counter()
    for _ in trainer.epochs():  # what an epoch yields are numbers: the device has done it all
        spent += time.perf_counter() - begun
        best = max(best, targeted(trainer.average.model, valid, settings, setting.device))
        if best >= setting.threshold:
            break
        begun = time.perf_counter()
    return {
        "loss": name,
        "model": config.model.name,
        "precision": config.precision,
        "threshold": setting.threshold,
        "seconds": spent if best >= setting.threshold else None,
        "epoch": trainer.epoch,
        "of epochs": config.epochs,
        "trained s": spent,
        "best": best,
        "images": len(valid),
    }


def targeted(
    network: nn.Module, images: Images, settings: AttackSettings, device: torch.device
) -> float:
    """Return the share of images that survive APGD-T, 20 steps towards 3 classes.

    Args:
        network: network in eval mode.
        images: images.
        settings: radius, seed and batch size.
        device: device of the network.
    """
    pixels = torch.from_numpy(images.images).to(device).float() / 255
    labels = torch.from_numpy(images.labels).to(device)
    keep = correct(network, pixels, labels).nonzero().squeeze(1)
    survived = apgd(network, pixels[keep], labels[keep], settings, steps=20, targets=3)
    return int(survived.sum()) / len(images)
