"""RegMix training as a generator of epochs: it knows no study, and the caller owns the stop."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from regmix import registry
from regmix.config import TrainConfig
from regmix.engine import ENGINE, Engine
from regmix.errors import InputError, NonFiniteError
from regmix.evaluation.validator import Validator
from regmix.finite import constants, overflowed
from regmix.images import Split
from regmix.normalization import Normalized
from regmix.placed import Placed, PlacedSplit
from regmix.progress import Phase, Progress, unheard
from regmix.ranges import NonNegative, check
from regmix.training.batches import in_batches
from regmix.training.inputs import Source
from regmix.training.metrics import EpochMetrics
from regmix.training.overfitting_monitor import OverfittingMonitor
from regmix.training.perturbation_memory import PerturbationMemory
from regmix.training.precision import trained_in
from regmix.training.schedules import SCHEDULES
from regmix.training.trainee import NURSERY


class RegMixTrainer:
    """Trains one configuration, from a seed to the same numbers each time on a CPU."""

    def __init__(
        self,
        config: TrainConfig,
        data: Split | PlacedSplit,
        device: torch.device,
        engine: Engine = ENGINE,
    ) -> None:
        """Build model, optimiser, memory and generators.

        Args:
            config: configuration of the run.
            data: training and held-out images; placed ones are not copied again.
            device: device of model, images and memory.
            engine: ways of computing, for the benchmark.
        """
        self.config, self.device, self.epoch, self._step = config, device, 0, 0
        train = Placed.of(data.train, device)
        self._validator = Validator(config, data.valid, device, engine, data.further)
        self.monitor = OverfittingMonitor(config.epochs)
        self._order = torch.Generator().manual_seed(config.seed)
        channels_last = engine.channels_last and takes_channels_last(config)
        count, *shape = train.images.shape
        self._memory = (
            _build_memory(config, count, tuple(shape), device, channels_last=channels_last)
            if config.initialization == "history"
            else None
        )
        self._source = Source(config, train, self._memory, device, channels_last=channels_last)
        model = build_model(config, shape[0], len(train.classes), engine).to(device)
        if isinstance(model, Normalized):
            model.fit(self.images, config.eval_epsilon)
        self._infinite = constants(model)
        trainee = NURSERY.trainee(config, model, device, engine, self)
        self.model, self.average, self._optimizer = (
            trainee.model,
            trainee.average,
            trainee.optimizer,
        )
        self._soundness, self._update = trainee.soundness, trainee.update

    @property
    def images(self) -> Tensor:
        """The training images (N, C, H, W) uint8, on the device."""
        return self._source.images

    @property
    def labels(self) -> Tensor:
        """Their labels (N,) int64."""
        return self._source.labels

    def epochs(
        self, until: int | None = None, progress: Progress = unheard
    ) -> Iterator[EpochMetrics]:
        """Train epoch by epoch, and yield the metrics of each.

        Args:
            until: number of the epoch after which to stop; None goes on to the last.
            progress: hears of each batch, validation and attack; it changes no number.

        Raises:
            NonFiniteError: before the update, with epoch, step and the terms at fault; after an
                epoch, where a weight or a running statistic has overflowed.
        """
        last = self.config.epochs if until is None else min(until, self.config.epochs)
        while self.epoch < last:
            begun = time.perf_counter()
            with trained_in(self.config):
                sums = self._train_epoch(progress)
            self.epoch += 1
            loss, initial, final = (sums / len(self.images)).tolist()
            self._check_finite(loss)
            ended = self.epoch == self.config.epochs
            valid = judged = None
            progress(Phase("validating", self.epoch, self.config.epochs))
            with self._placed():
                single = self._validator.overfitting_check(self.model.eval())
                if ended or self.epoch % self.config.eval_every == 0:
                    valid = self._validator.per_epoch(self.average.model)
                if valid and ended:
                    judged = self._validator.final(self.average.model, valid, progress)
            robust = valid.robust if valid else None
            self.monitor.update(self.epoch, single, robust, self.average.model)
            yield EpochMetrics(
                epoch=self.epoch,
                train_loss=loss,
                train_initial=initial,
                train_final=final,
                valid_clean=valid.clean if valid else None,
                valid_fgsm=valid.fgsm if valid else None,
                valid_pgd=valid.pgd if valid else None,
                valid_robust=robust,
                **self.monitor.metrics(),
                lr=self._optimizer.lr,
                final=judged,
                seconds=time.perf_counter() - begun,
            )

    def _train_epoch(self, progress: Progress) -> Tensor:
        """Return (3,) sums over images: loss, correct at initial, correct at final perturbation."""
        self.model.train()
        if self._memory:
            self._memory.begin_epoch(self.epoch, self._source.noise)
        sums = torch.zeros(3, device=self.device)
        order = torch.randperm(len(self.images), generator=self._order).to(self.device)
        batches = in_batches(order, self.config.batch_size)
        epoch, epochs = self.epoch + 1, self.config.epochs
        for index in batches:
            share = self._step / len(batches)
            progress(Phase("training", epoch, epochs, share=share))
            factor = SCHEDULES[self.config.schedule]((self.epoch + share) / epochs)
            self._optimizer.lr = self.config.lr * factor
            sums += self.train_batch(index)
            self._step += 1
        self._soundness.look()
        self._step = 0
        return sums

    @contextmanager
    def _placed(self) -> Iterator[None]:
        """Say in which epoch an evaluation met what is not finite."""
        try:
            yield
        except NonFiniteError as error:
            raise NonFiniteError(
                f"{error} in the evaluation of epoch {self.epoch}, lr {self._optimizer.lr:.3g}"
            ) from None

    def _check_finite(self, loss: float) -> None:
        """Prove that an epoch left only finite numbers: a last update is seen by no loss.

        A running variance that is infinite hides behind finite logits, which are then constant.
        """
        for kind, model in (("", self.model), ("averaged ", self.average.model)):
            name = overflowed(model.state_dict(), self._infinite)
            if name is not None:
                raise NonFiniteError(
                    f"{kind}{name} is NaN or infinite after epoch {self.epoch}, "
                    f"lr {self._optimizer.lr:.3g}"
                )
        if self._memory and not self._memory.finite():
            raise NonFiniteError(f"the memory is NaN or infinite after epoch {self.epoch}")
        if not math.isfinite(loss):
            raise NonFiniteError(f"the mean loss is {loss} in epoch {self.epoch}")

    def train_batch(self, index: Tensor) -> Tensor:
        """Attack the images at `index` (N,), and move the weights once.

        Returns:
            (3,) sums over the images: loss, correct at initial, correct at final perturbation.

        Raises:
            NonFiniteError: before the update, where loss or attack are not finite; where looks are
                late, for one of the steps before.
        """
        self._soundness.begin(self.epoch + 1, self._step + 1, self._optimizer.lr)
        batch, crop = self._source.draw(index)
        self.average.prepare()
        done = self._update(batch)
        if self._memory:
            self._memory.keep(
                index,
                batch.images,
                batch.start,
                done.gradient,
                correct=done.correct,
                crop=crop,
                sound=done.sound,
            )
        return done.sums

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later process needs to go on as if it had never stopped.

        Its tensors are the run's own: copy them before it goes on, see `checkpoint.copied`. A
        memory that the next epoch resets is left out: the generator's state has what comes.
        """
        memory = self._memory
        kept = memory.state_dict() if memory and not memory.resets(self.epoch) else None
        return {
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "average_updates": self.average.updates,
            "optimizer": self._optimizer.state_dict(),
            "memory": kept,
            "order": self._order.get_state(),
            "noise": self._source.noise.get_state(),
            "monitor": self.monitor.state_dict(self.epoch),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned for the same configuration."""
        self.epoch = state["epoch"]
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.average.updates = state["average_updates"]
        self._optimizer.load_state_dict(state["optimizer"])
        if self._memory and state["memory"] is not None:
            self._memory.load_state_dict(state["memory"])
        self._order.set_state(state["order"].cpu())
        self._source.noise.set_state(state["noise"].cpu())
        self.monitor.load_state_dict(state["monitor"], self.average.model)


def build_model(
    config: TrainConfig, channels: int, classes: int, engine: Engine = ENGINE
) -> nn.Module:
    """Build the configuration's network with weights that follow from its seed alone.

    Args:
        config: configuration of the run, for model, seed and normalisation.
        channels: number of channels of an image.
        classes: number of logits.
        engine: ways of computing; how weights lie in memory changes how logits are rounded.

    Raises:
        InputError: where a plug-in returns no network.
    """
    build = registry.find("model", config.model.name, config.model.options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = build(channels, classes)
    if not isinstance(network, nn.Module):
        raise InputError(
            f"model {config.model.name}: must return a torch.nn.Module, but returns "
            f"{type(network).__name__}; correct it"
        )
    if engine.channels_last and takes_channels_last(config):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Normalized(network, channels) if config.normalization == "data" else network


def takes_channels_last(config: TrainConfig) -> bool:
    """Return whether network and attack take images whose channels are the last in memory.

    The tool's own do; a plug-in may call `view` on what it is given, which then fails.
    """
    return not any(
        registry.is_plugin(kind, component.name)
        for kind, component in (("model", config.model), ("attack", config.attack))
    )


def _build_memory(
    config: TrainConfig,
    count: int,
    shape: tuple[int, ...],
    device: torch.device,
    *,
    channels_last: bool,
) -> PerturbationMemory:
    step_ratio = check(  # the memory steps as far as the attack does
        f"attack {config.attack.name}",
        "step_ratio",
        config.attack.options.get("step_ratio", 1.0),
        NonNegative,
    )
    return PerturbationMemory(
        count,
        shape,
        epsilon=config.train_epsilon,
        step=step_ratio * config.train_epsilon,
        momentum_decay=config.momentum_decay,
        momentum_rule=config.momentum_rule,
        reset_interval=config.reset_interval,
        device=device,
        channels_last=channels_last,
    )
