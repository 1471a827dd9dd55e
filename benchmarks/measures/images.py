"""Real images for the parts that train to an end: a folder's on a card, digits on a CPU."""

from typing import Any

import numpy as np

from benchmarks.measures.setting import Setting
from pipeline.problem.problem import RECIPES, Recipe
from regmix.config import TrainConfig
from regmix.images import Images, Split
from regmix.reading import read_part

NEEDED = "it needs real images, and none are named: --data-dir FOLDER"
_VALID = 1000  # images held out, on which a card's trainings are judged


class Task:
    """A recipe on the images at hand, which are read once."""

    def __init__(self, recipe: str, changes: dict[str, Any]) -> None:
        """Read the images.

        Args:
            recipe: name of the recipe.
            changes: flat values that replace the recipe's.
        """
        self._recipe, self._changes = Recipe.from_yaml(RECIPES / f"{recipe}.yaml"), changes
        config = self.config("plain")
        self.data: Split = config.split(read_part(config.data.name, config.data.options, "train"))

    def config(self, loss: str, **values: object) -> TrainConfig:
        """Return a run.

        Args:
            loss: name of the loss, with the recipe's weights for it.
            values: flat values that replace all others.
        """
        own = self._recipe.losses.get(loss, {})
        flat = {**self._recipe.values, "loss": loss, **own, **self._changes, **values}
        return TrainConfig.from_flat(flat)

    @property
    def unjudged(self) -> Split:
        """The same training images with so few for validation that judging costs nothing."""
        return Split(self.data.train, first(self.data.valid, 32))


def first(images: Images, count: int) -> Images:
    """Return the first images, all of them where there are fewer."""
    return images.take(np.arange(min(count, len(images))))


def task(setting: Setting) -> Task | None:
    """Return CIFAR-10 with ResNet-18 on a card, digits on a CPU; None where there are no images."""
    if setting.card and setting.data_dir is None:
        return None
    if setting.data_dir is None:
        return Task("digits", {})
    folder = {"data": "image_folder", "data_dir": setting.data_dir, "valid_images": _VALID}
    if setting.card:
        return Task("cifar10", folder)
    small = {"model": "small_cnn", "width": 8, "train_images": 2000, "valid_images": 200}
    return Task("cifar10", {**folder, **small})
