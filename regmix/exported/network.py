"""The network of an exported file, with its weights, ready to be asked."""

from os import PathLike, fspath
from pathlib import Path
from typing import Literal

from torch import nn

from regmix.errors import InputError
from regmix.exported.file import Exported
from regmix.plugins import install_folder
from regmix.ranges import check
from regmix.training import checkpoint
from regmix.training.trainer import build_model
from regmix.user_files import absolute

Weights = Literal["final", "best"]
"""Which of a file's weights: those after the last epoch, or after the best one before it."""


def load(
    file: str | PathLike[str],
    *,
    weights: Weights = "final",
    plugins: str | PathLike[str] | None = None,
) -> nn.Module:
    """Return the network of an exported file, in eval mode, on the CPU.

    It takes images (N, C, H, W), pixels in [0, 1], of any number N, and returns logits (N, K);
    what normalisation there is lies inside.

    Args:
        file: a YAML file that export.py, confirm.py or train.py wrote; its weights lie beside it.
        weights: `final`, the averaged weights after the last epoch, or `best`, those after the
            best epoch, where that is an earlier one.
        plugins: folder of the plug-ins that the search used. They are known in this process from
            then on.

    Raises:
        InputError: where the file, its weights or its plug-ins are missing, damaged or changed.
    """
    path = absolute(fspath(file), "file")
    which: Weights = check("load", "weights", weights, Weights)
    exported = Exported.read(path, install_folder(plugins, "plugins"))
    return network(exported, chosen(exported, path, which))


def chosen(exported: Exported, path: Path, which: Weights) -> Path:
    """Return the file of the weights that are asked for.

    Args:
        exported: content of the file at `path`.
        path: the YAML file, for messages.
        which: the weights.

    Raises:
        InputError: where there are none.
    """
    weights = exported.best_weights if which == "best" else exported.weights
    if weights is None:
        raise InputError(
            f"{path}: has no best weights, since its last epoch is its best; take the final ones"
        )
    if not weights.exists():
        raise InputError(f"{weights}: the weights are missing; export or train again")
    return weights


def network(exported: Exported, weights: Path) -> nn.Module:
    """Return the network of a configuration with the weights of a file, in eval mode.

    Args:
        exported: the configuration, and the images that it was trained on.
        weights: file of its weights.

    Raises:
        InputError: where the weights don't fit the network.
    """
    channels = exported.images["shape"][0]
    model = build_model(exported.config, channels, len(exported.images["classes"]))
    checkpoint.load_into(model, weights)
    return model.eval()
