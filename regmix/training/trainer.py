"""RegMix training as a generator of epochs: it knows no study, and the caller owns the stop."""

import math
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regmix import registry
from regmix.config import TrainConfig
from regmix.engine import Engine
from regmix.errors import InputError, NonFiniteError
from regmix.evaluation.validator import Validator
from regmix.finite import constants, overflowed
from regmix.images import Split
from regmix.interfaces import AttackResult
from regmix.normalization import Normalized
from regmix.placed import Placed, PlacedSplit
from regmix.ranges import NonNegative, check
from regmix.training.augment import Crop, crop_flip
from regmix.training.averaging import Average
from regmix.training.batches import in_batches
from regmix.training.metrics import EpochMetrics
from regmix.training.optimizer import MomentumSGD
from regmix.training.overfitting_monitor import OverfittingMonitor
from regmix.training.perturbation_memory import PerturbationMemory
from regmix.training.schedules import SCHEDULES


class RegMixTrainer:
    """Trains one configuration, from a seed to the same numbers each time on a CPU."""

    def __init__(
        self,
        config: TrainConfig,
        data: Split | PlacedSplit,
        device: torch.device,
        engine: Engine = Engine(),  # noqa: B008  (frozen)
    ) -> None:
        """Build model, optimiser, memory and generators.

        Args:
            config: configuration of the run.
            data: training and validation images; placed ones are not copied again.
            device: device of model, images and memory.
            engine: how it is computed.
        """
        self.config, self.device, self.epoch, self._step = config, device, 0, 0
        train = Placed.of(data.train, device)
        self.images, self.labels = train.images, train.labels
        self._validator = Validator(config, data.valid, device, engine)
        self.monitor = OverfittingMonitor(config.epochs)
        self.classes = len(data.train.classes)
        self._order = torch.Generator().manual_seed(config.seed)
        self._noise = torch.Generator(device).manual_seed(config.seed)

        self.model = build_model(config, self.images.shape[1], self.classes).to(device)
        if isinstance(self.model, Normalized):
            self.model.fit(self.images, config.eval_epsilon)
        self._infinite = constants(self.model)
        self.average = Average(
            self.model, config.averaging_decay, config.averaging_rule, config.averaging_threshold
        )
        self._optimizer = MomentumSGD(
            self.model.parameters(),
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
        )
        attack, loss = config.attack, config.loss
        self._attack = registry.find("attack", attack.name, attack.options)
        self._radius = registry.companion("attack", attack.name)(
            epsilon=config.train_epsilon, **attack.options
        )
        self._loss = registry.find("loss", loss.name, loss.options)
        self._inputs = registry.companion("loss", loss.name)(**loss.options)
        self._memory = self._build_memory() if config.initialization == "history" else None

    def _build_memory(self) -> PerturbationMemory:
        config = self.config
        step_ratio = check(  # the memory steps as far as the attack does
            f"attack {config.attack.name}",
            "step_ratio",
            config.attack.options.get("step_ratio", 1.0),
            NonNegative,
        )
        return PerturbationMemory(
            len(self.images),
            tuple(self.images.shape[1:]),
            epsilon=config.train_epsilon,
            step=step_ratio * config.train_epsilon,
            momentum_decay=config.momentum_decay,
            momentum_rule=config.momentum_rule,
            reset_interval=config.reset_interval,
            device=self.device,
        )

    def epochs(self, until: int | None = None) -> Iterator[EpochMetrics]:
        """Train epoch by epoch, and yield the metrics of each.

        Args:
            until: number of the epoch after which to stop; None goes on to the last.

        Raises:
            NonFiniteError: before the update, with epoch, step and the terms at fault; after an
                epoch, where a weight or a running statistic has overflowed.
        """
        last = self.config.epochs if until is None else min(until, self.config.epochs)
        while self.epoch < last:
            begun = time.perf_counter()
            sums = self._train_epoch()
            self.epoch += 1
            loss, initial, final = (sums / len(self.images)).tolist()
            self._check_finite(loss)
            ended = self.epoch == self.config.epochs
            valid = judged = None
            with self._placed():
                single = self._validator.overfitting_check(self.model.eval())
                if ended or self.epoch % self.config.eval_every == 0:
                    valid = self._validator.per_epoch(self.average.model)
                if valid and ended:
                    judged = self._validator.final(self.average.model, valid)
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

    def _train_epoch(self) -> Tensor:
        """Return (3,) sums over images: loss, correct at initial, correct at final perturbation."""
        self.model.train()
        if self._memory:
            self._memory.begin_epoch(self.epoch, self._noise)
        sums = torch.zeros(3, device=self.device)
        order = torch.randperm(len(self.images), generator=self._order).to(self.device)
        batches = in_batches(order, self.config.batch_size)
        for index in batches:
            progress = (self.epoch + self._step / len(batches)) / self.config.epochs
            factor = SCHEDULES[self.config.schedule](progress)
            self._optimizer.lr = self.config.lr * factor
            sums += self.train_batch(index)
            self._step += 1
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
            NonFiniteError: before the update, where loss or attack are not finite.
        """
        (images, crop), labels = self._images(index), self.labels[index]
        start, target = self._start(index, images, crop), self._smoothed(labels)
        with self._autocast():
            attacked = self._attacked(images, start, target)
            final = self.model(images + attacked.perturbation)
            clean = self.model(images) if self._inputs.clean else None
        final, clean = final.float(), None if clean is None else clean.float()
        loss = self._loss(final, attacked.initial, clean, target)
        seen = (loss, attacked.gradient, attacked.perturbation)
        if not torch.stack([torch.isfinite(values).all() for values in seen]).all():
            attack_alone = bool(torch.isfinite(loss))
            what = "the attack is not finite" if attack_alone else f"loss is {loss.item()}"
            raise NonFiniteError(
                f"{what} in epoch {self.epoch + 1}, step {self._step + 1}: "
                f"largest logit {final.abs().max().item():.3g} at the final perturbation, "
                f"lr {self._optimizer.lr:.3g}"
            )
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self._optimizer.step()
        correct = torch.stack([(z.argmax(1) == labels).sum() for z in (attacked.initial, final)])
        self.average.update(self.model, correct)
        if self._memory:
            self._memory.keep(index, images, start, attacked.gradient, correct=correct, crop=crop)
        return torch.stack([loss.detach() * len(index), *correct])

    def _attacked(self, images: Tensor, start: Tensor, target: Tensor) -> AttackResult:
        """Attack in the configured mode; what the loss sees is always of train mode."""
        attack = partial(
            self._attack, self.model, images, start, target, epsilon=self.config.train_epsilon
        )
        if self.config.attack_mode == "train":
            return attack(keep_graph=self._inputs.initial)
        self.model.eval()
        attacked = attack(keep_graph=False)
        self.model.train()
        if self._inputs.initial:
            attacked = attacked._replace(initial=self.model(images + start).float())
        return attacked

    def _images(self, index: Tensor) -> tuple[Tensor, Crop | None]:
        """Return the images as they are trained on, and the crop that the memory follows."""
        images = self.images[index].float() / 255
        if self.config.augment == "none":
            return images, None
        crop = crop_flip(images, self._noise)
        return crop.take(images), crop if self.config.align_history else None

    def _start(self, index: Tensor, images: Tensor, crop: Crop | None) -> Tensor:
        """Return the initial perturbations (N, C, H, W), at which the attack takes its gradient.

        Random and corner starts, and those of the memory after a reset, lie in the ball but may
        carry a pixel out of [0, 1]: on the digits 35 to 40 % of them. The code of FGSM-MEP and
        FGSM-PGK leaves them there, and so does N-FGSM; that of PGD (Madry et al.) and of FGSM-RS
        (Wong et al.) cuts them to the box. `start_box` chooses.
        """
        start = self._drawn(index, images, crop)
        if self.config.start_box == "clipped":
            start = torch.clamp(start, min=-images, max=1 - images)
        return start

    def _drawn(self, index: Tensor, images: Tensor, crop: Crop | None) -> Tensor:
        """Return the start in its ball, wherever it carries the pixels."""
        if self._memory:
            return self._memory.recall(index, crop)
        if self.config.initialization == "zero":
            return torch.zeros_like(images)
        noise = torch.rand(images.shape, generator=self._noise, device=self.device) * 2 - 1
        if self.config.initialization == "corner":
            noise = noise.sign()
        return self._radius.start * noise

    def _smoothed(self, labels: Tensor) -> Tensor:
        """Return (N, K): tau for the label's class, the rest shared equally."""
        tau = self.config.true_class_mass
        hot = F.one_hot(labels, self.classes).float()
        return hot * tau + (1 - hot) * (1 - tau) / (self.classes - 1)

    def _autocast(self) -> AbstractContextManager[None]:
        if self.config.precision == "fp32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

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
            "noise": self._noise.get_state(),
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
        self._noise.set_state(state["noise"].cpu())
        self.monitor.load_state_dict(state["monitor"], self.average.model)


def build_model(config: TrainConfig, channels: int, classes: int) -> nn.Module:
    """Build the configuration's network with weights that follow from its seed alone.

    Args:
        config: configuration of the run, for model, seed and normalisation.
        channels: number of channels of an image.
        classes: number of logits.

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
    return Normalized(network, channels) if config.normalization == "data" else network
