"""A training from its configuration to its network, in one call."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike

from torch import nn

from regmix.config import TrainConfig
from regmix.device import device
from regmix.errors import InputError, shown
from regmix.fit import check_fit
from regmix.images import Images
from regmix.plugins import install_folder
from regmix.reading import read_part
from regmix.training.metrics import EpochMetrics
from regmix.training.rehearsal import rehearse
from regmix.training.trainer import RegMixTrainer


@dataclass(frozen=True)
class Trained:
    """What a training gave."""

    model: nn.Module  # with the averaged weights after the last epoch, in eval mode
    epochs: tuple[EpochMetrics, ...]  # of each epoch; the last one has the final evaluation
    config: TrainConfig  # that ran, every default filled in


def train(
    config: TrainConfig | Mapping[str, object],
    *,
    images: Images | None = None,
    plugins: str | PathLike[str] | None = None,
) -> Trained:
    """Train one configuration from its seed, as a trial of a search does, and print nothing.

    On a CPU the same configuration gives the same numbers each time. For an epoch at a time see
    `regmix.training.trainer.RegMixTrainer`.

    Args:
        config: the run, or a flat mapping of its names to values: `data`, `model`, `attack` and
            `loss`, their options, and fields of `TrainConfig`; what is missing takes its default.
        images: training images; None reads those of the configuration's data set. A part of them
            is held out for validation.
        plugins: folder of variants of your own. They are known in this process from then on.

    Raises:
        InputError: for a wrong value, images that can't be read, or what does not fit together.
        NonFiniteError: where the run diverges.
    """
    install_folder(plugins, "plugins")
    run = config if isinstance(config, TrainConfig) else _checked(config)
    found = read_part(run.data.name, run.data.options, "train") if images is None else images
    check_fit(run, found)
    data, where = run.split(found), device()
    channels, height, width = found.images.shape[1:]
    rehearse(run, (channels, height, width), len(found.classes), len(data.train))
    trainer = RegMixTrainer(run, data, where)
    epochs = tuple(trainer.epochs())
    # a copy: the next run of this process takes over the network
    return Trained(copy.deepcopy(trainer.average.model).eval(), epochs, run)


def _checked(config: object) -> TrainConfig:
    if not isinstance(config, Mapping):
        raise InputError(
            f"config: must be a TrainConfig or a mapping of names to values, but is {shown(config)}"
        )
    return TrainConfig.from_flat(config)
