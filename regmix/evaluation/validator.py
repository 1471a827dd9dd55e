"""A run's validation images, and every evaluation of a model on them."""

from dataclasses import dataclass

import torch
from torch import nn

from regmix.config import TrainConfig
from regmix.engine import ENGINE, Engine
from regmix.evaluation.apgd_levels import evaluate_finalist, evaluate_trial
from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.judged_network import JudgedNetwork, Pairs, foldable, judged
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
from regmix.placed import Placed
from regmix.progress import Progress, unheard

WATCHED = 256
"""Number of images on which catastrophic overfitting is looked for: its limits lie far apart."""
WATCH_STEPS = 5
"""Falling steps of the PGD that looks for it: as strong as ten of a quarter of the radius, which
the limits were found with, at half of their cost (`benchmarks/README.md`)."""


@dataclass(frozen=True)
class SingleStep:
    """Accuracies by which catastrophic overfitting shows, in [0, 1]."""

    fgsm: float
    pgd: float


class Validator:
    """Evaluates models on the same images from the same starts, whatever the trial."""

    def __init__(
        self,
        config: TrainConfig,
        images: Images | Placed,
        device: torch.device,
        engine: Engine = ENGINE,
        further: Images | Placed | None = None,
    ) -> None:
        """Take the images to the device.

        Args:
            config: configuration of the run, for radius, steps, seed and level of evaluation.
            images: validation images, by which each epoch is judged.
            device: device of the models.
            engine: how it is computed.
            further: what the final evaluation may take beside them; it takes the first of these,
                as many as the configuration says.
        """
        self._config, self._engine = config, engine
        self._folds: Pairs | None = None  # found with the first network: all have its structure
        placed = Placed.of(images, device)
        self.images, self.labels, self._count = placed.pixels, placed.labels, len(images)
        more = config.final_images - config.valid_images
        if further is not None and more:
            others = Placed.of(further, device)
            self.images = torch.cat([self.images, others.pixels[:more]])
            self.labels = torch.cat([self.labels, others.labels[:more]])
        self._start = random_start(self.images, config.eval_epsilon, config.eval_seed)
        count = min(WATCHED, len(images))  # spread evenly: data sets often are sorted by class
        self._watched = torch.linspace(0, len(images) - 1, count).long().to(device)

    def per_epoch(self, model: nn.Module) -> Validation:
        """Evaluate by the first level, as each epoch does on its averaged weights."""
        return self._first_level(model, slice(self._count))

    def _completed(self, model: nn.Module, known: Validation) -> Validation:
        """Return the first level on all images of the final evaluation."""
        if self._count == len(self.labels):
            return known
        return known.followed_by(self._first_level(model, slice(self._count, None)))

    def _first_level(self, model: nn.Module, part: slice) -> Validation:
        config = self._config
        return validate(
            self._judged(model),
            self.images[part],
            self.labels[part],
            self._start[part],
            epsilon=config.eval_epsilon,
            steps=config.eval_steps,
            schedule=config.eval_step_schedule,
        )

    def final(
        self, model: nn.Module, known: Validation, progress: Progress = unheard
    ) -> FinalEvaluation:
        """Evaluate by the configuration's level at the end of a run.

        Args:
            model: network with the averaged weights, in eval mode.
            known: result of `per_epoch` for it; only its survivors are attacked again.
            progress: hears of each attack.
        """
        config, known = self._config, self._completed(model, known)
        evaluate = evaluate_finalist if config.judgement == "finalist" else evaluate_trial
        settings = AttackSettings(config.eval_epsilon, config.eval_seed)
        network = self._judged(model)
        return evaluate(network, self.images, self.labels, self._start, known, settings, progress)

    def overfitting_check(self, model: nn.Module) -> SingleStep:
        """Attack the present weights by FGSM and by a short PGD, on at most 256 of the images.

        The radius is that of training, which is what a model overfits to, or the evaluation's
        where that is smaller, since at a large one PGD fools a sound model too.
        """
        epsilon = min(self._config.train_epsilon, self._config.eval_epsilon)
        images, labels = self.images[self._watched], self.labels[self._watched]
        start = self._start[self._watched] * (epsilon / self._config.eval_epsilon)
        network = self._judged(model)
        keep = correct(network, images, labels)
        x, y = images[keep], labels[keep]
        single = full_step(network, x, y, epsilon=epsilon)
        several, _ = pgd(
            network,
            x,
            y,
            start[keep],
            epsilon=epsilon,
            step=epsilon,
            steps=WATCH_STEPS,
            schedule="falling",
        )
        return SingleStep(int(single.sum()) / len(images), int(several.sum()) / len(images))

    def _judged(self, model: nn.Module) -> JudgedNetwork:
        if self._folds is None and self._engine.folded:
            self._folds = foldable(model, self.images)
        return judged(model, self.images, self._engine, self._folds)
