"""One training step: attack a batch, score it, and move the weights once."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from regmix import registry
from regmix.config import TrainConfig
from regmix.interfaces import AttackResult
from regmix.training.averaging import Average
from regmix.training.inputs import StepInputs
from regmix.training.layout import Layout
from regmix.training.numbers import Numbers
from regmix.training.optimizer import MomentumSGD
from regmix.training.precision import autocast
from regmix.training.soundness import Soundness


class StepResult(NamedTuple):
    """What a step leaves behind besides the moved weights."""

    sums: Tensor  # (3,) over the images: loss, correct at initial, correct at final perturbation
    gradient: Tensor  # (N, C, H, W) of the attack's loss at the start
    correct: Tensor  # (2,) numbers of images correct at the initial and the final perturbation
    sound: Tensor | None  # () bool: whether the update was made; None: it was


class TrainingStep:
    """Attack, forward and backward passes, update and average: nothing random, and no wait.

    It asks the device for nothing, but where `soundness` looks at each step.
    """

    def __init__(
        self,
        config: TrainConfig,
        layout: Layout,
        average: Average,
        optimizer: MomentumSGD,
        soundness: Soundness,
        numbers: Numbers,
    ) -> None:
        """Bind the configuration's loss and attack to a network.

        Args:
            config: configuration of the run.
            layout: that of the network that is trained.
            average: its average.
            optimizer: of its weights.
            soundness: what is asked whether an update may be made.
            numbers: options of loss and attack.
        """
        self._config, self._layout, self._model = config, layout, layout.network
        self._average, self._optimizer, self._soundness = average, optimizer, soundness
        self._weights = [weight for weight in self._model.parameters() if weight.requires_grad]
        attack, loss = config.attack, config.loss
        self._attack = registry.find("attack", attack.name, numbers.attack)
        self._loss = registry.find("loss", loss.name, numbers.loss)
        self._epsilon = numbers.epsilon
        self._inputs = registry.companion("loss", loss.name)(**loss.options)

    def __call__(self, batch: StepInputs) -> StepResult:
        """Attack a batch, and move the weights once.

        Raises:
            NonFiniteError: before the update, where loss or attack are not finite and each step is
                looked at.
        """
        kept = self._layout.snapshot() if self._soundness.late else None
        with autocast(self._config, self._layout.device):
            attacked = self._attacked(batch)
            final = self._model(batch.images + attacked.perturbation)
            clean = self._model(batch.images) if self._inputs.clean else None
        final, clean = final.float(), None if clean is None else clean.float()
        loss = self._loss(final, attacked.initial, clean, batch.target)
        sound = self._soundness.judge(loss, attacked, final)
        self._backward(loss)
        if kept is not None and sound is not None:
            self._layout.restore(kept, unless=sound)
        self._optimizer.step(sound)
        right = [(z.argmax(1) == batch.labels).sum() for z in (attacked.initial, final)]
        correct = torch.stack(right)
        self._average.move(correct, sound)
        sums = torch.stack([loss.detach() * len(final), *right])
        return StepResult(sums, attacked.gradient, correct, sound)

    def snapshot(self) -> list[Tensor]:
        """Return copies of all that a step moves."""
        return [tensor.clone() for tensor in self._moved()]

    @torch.no_grad()
    def restore(self, kept: list[Tensor]) -> None:
        """Undo all steps since a `snapshot`."""
        for tensor, before in zip(self._moved(), kept, strict=True):
            tensor.copy_(before)

    def _moved(self) -> list[Tensor]:
        networks = (*self._layout.all, *self._average.layout.all)
        return [*networks, *self._optimizer.moved, *self._soundness.moved]

    def _attacked(self, batch: StepInputs) -> AttackResult:
        """Attack in the configured mode; what the loss sees is always of train mode."""
        images, start, target, _ = batch.images, batch.start, batch.target, batch.labels
        attack = partial(self._attack, self._model, images, start, target, epsilon=self._epsilon)
        if self._config.attack_mode == "train":
            return attack(keep_graph=self._inputs.initial)
        self._model.eval()
        attacked = attack(keep_graph=False)
        self._model.train()
        if self._inputs.initial:
            attacked = attacked._replace(initial=self._model(images + start).float())
        return attacked

    def _backward(self, loss: Tensor) -> None:
        """Give each weight its gradient, and nothing else: the attacked images need none."""
        for weight in self._weights:
            weight.grad = None
        torch.autograd.backward(loss, inputs=self._weights)
        if self._config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self._weights, self._config.clip_norm)
