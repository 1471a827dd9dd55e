"""Adversarial training with mutual and generalization regularisation, and its evaluation.

Knows torch and nothing of searches. Source of the method: Liu and Ojha, arXiv 2510.05317.

    load         the network of an exported file, for images in [0, 1]
    train        one configuration, from its names to its network
    evaluate     how robust any network is on given images
    TrainConfig, InputError          what `train` takes, and how a mistake is told

These are imported when they are asked for. Behind them:

    config       `TrainConfig`: one run, checked once
    training/    `RegMixTrainer` yields the metrics of each epoch; what it remembers in between
    evaluation/  how robust a model is, from an epoch's ensemble to AutoAttack
    exported/    the file of a configuration, its network, and other forms of it
    losses/ attacks/ models/ data/   the variants, one a file; `interfaces` describes each kind
    registry     finds variants, here and in a user's `plugins`; `signature` checks their options
    ranges, errors, schema, yaml_file    what a value may be, and how a mistake is reported
    images, normalization, projection, device, atomic, torchvision_cpu
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a worker imports this package, and a driver does without torch
    from regmix.config import TrainConfig
    from regmix.errors import InputError
    from regmix.evaluation.given_images import evaluate
    from regmix.exported.network import load
    from regmix.training.whole_run import train

__all__ = ["InputError", "TrainConfig", "evaluate", "load", "train"]

_HOMES = {
    "InputError": "regmix.errors",
    "TrainConfig": "regmix.config",
    "evaluate": "regmix.evaluation.given_images",
    "load": "regmix.exported.network",
    "train": "regmix.training.whole_run",
}
_COMPUTING = ("evaluate", "load", "train")


def __getattr__(name: str) -> object:
    """Import one of the names above where it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    if name in _COMPUTING:  # before torch is imported, whose threads would else spin
        from regmix.cores import compute_on

        compute_on()
    found = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the module's names, those that are not imported yet too."""
    return sorted({*globals(), *__all__})
