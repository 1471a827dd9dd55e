"""A run's validation images, and all that is asked of a model on them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regmix.config import TrainConfig
from regmix.evaluation.apgd_levels import evaluate_finalist, evaluate_trial
from regmix.evaluation.pgd_ensemble import (
    Validation,
    correct,
    full_step,
    pgd,
    random_start,
    validate,
)
from regmix.evaluation.results import FinalEvaluation
from regmix.images import Images

WATCHED = 256
"""So many images tell whether a model has collapsed: the rule's limits lie far apart."""


@dataclass(frozen=True)
class SingleStep:
    """Accuracies by which catastrophic overfitting shows, in [0, 1]."""

    fgsm: float
    pgd: float


class Validator:
    """Judges models on the same images from the same starts, whatever the trial."""

    def __init__(self, config: TrainConfig, images: Images, device: torch.device) -> None:
        """Take the images to the device."""
        self._config = config
        self.images = torch.from_numpy(images.images).to(device).float() / 255
        self.labels = torch.from_numpy(images.labels).to(device)
        self._start = random_start(self.images, config.eval_epsilon, config.eval_seed)
        count = min(WATCHED, len(images))  # spread evenly: data sets often are sorted by class
        self._watched = torch.linspace(0, len(images) - 1, count).long().to(device)

    def per_epoch(self, model: nn.Module) -> Validation:
        """Judge by the first level: each epoch, on the averaged weights."""
        config = self._config
        return validate(
            model,
            self.images,
            self.labels,
            self._start,
            epsilon=config.eval_epsilon,
            steps=config.eval_steps,
        )

    def final(self, model: nn.Module, known: Validation) -> FinalEvaluation:
        """Judge at the end by the configuration's level, who survived the first."""
        config = self._config
        judge = evaluate_finalist if config.judgement == "finalist" else evaluate_trial
        return judge(
            model,
            self.images,
            self.labels,
            self._start,
            known,
            epsilon=config.eval_epsilon,
            seed=config.eval_seed,
        )

    def overfitting_check(self, model: nn.Module) -> SingleStep:
        """Attack the present weights by FGSM and by PGD-10, on 256 of the images.

        At the epsilon of training, which is what a model overfits to; at the evaluation's where
        that is smaller, since at a large one PGD fools a sound model too.
        """
        epsilon = min(self._config.train_epsilon, self._config.eval_epsilon)
        images, labels = self.images[self._watched], self.labels[self._watched]
        start = self._start[self._watched] * (epsilon / self._config.eval_epsilon)
        keep = correct(model, images, labels)
        x, y = images[keep], labels[keep]
        single = full_step(model, x, y, epsilon=epsilon)
        several, _ = pgd(model, x, y, start[keep], epsilon=epsilon, step=epsilon / 4, steps=10)
        return SingleStep(_share(single, len(images)), _share(several, len(images)))


def _share(survived: Tensor, count: int) -> float:
    return int(survived.sum()) / count
