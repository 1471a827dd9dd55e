"""A network in training with its average and its step, which the next trial may take over."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from regmix import registry
from regmix.config import Component, TrainConfig
from regmix.engine import Engine
from regmix.training.averaging import Average
from regmix.training.capture import CapturedStep, Recorder, on_card
from regmix.training.layout import Layout
from regmix.training.numbers import Numbers
from regmix.training.optimizer import MomentumSGD
from regmix.training.soundness import Soundness
from regmix.training.step import TrainingStep

_LOOK_EVERY = 50  # steps, on a device that has to be waited for


class Trainee:
    """What a step moves, and the step."""

    def __init__(
        self,
        config: TrainConfig,
        model: nn.Module,
        device: torch.device,
        engine: Engine,
        record: Recorder | None,
    ) -> None:
        """Begin with a fresh network.

        Args:
            config: configuration of the run.
            model: its network, on the device.
            device: device of the run.
            engine: ways of computing.
            record: how a step is recorded, see `CapturedStep`; None takes the step itself.
        """
        self.model, self._layout = model, Layout(model, flat=engine.flat)
        self.average = Average(
            self._layout,
            config.averaging_decay,
            config.averaging_rule,
            config.averaging_threshold,
        )
        self.optimizer = MomentumSGD(
            model.parameters(),
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            buffers=self._layout.weights,
        )
        self.soundness = Soundness(device, looks(device, engine))
        step = self._step(config, Numbers(config, None))
        self.update: TrainingStep | CapturedStep = step
        if record is not None:
            self._numbers = Numbers(config, device)
            self.update = CapturedStep(step, self._step(config, self._numbers), record)

    def _step(self, config: TrainConfig, numbers: Numbers) -> TrainingStep:
        return TrainingStep(
            config, self._layout, self.average, self.optimizer, self.soundness, numbers
        )

    def restart(self, config: TrainConfig, model: nn.Module) -> None:
        """Become what a new one would be, in the same memory, for a run of the same structure.

        Args:
            config: configuration of the new run, with the same `structure`.
            model: its fresh network.
        """
        assert isinstance(self.update, CapturedStep), "others are cheaper to build anew"
        self.model.load_state_dict(model.state_dict())
        self.average.restart(config.averaging_decay, config.averaging_threshold)
        self.optimizer.restart(config.lr, config.momentum, config.weight_decay)
        self.soundness.restart()
        self._numbers.become(config)
        self.update.restart(self._step(config, Numbers(config, None)))


class Nursery:
    """The trainee that was last in use in this process, for runs of one structure."""

    def __init__(self) -> None:
        """Begin with none."""
        self._structure: dict[str, Any] = {}
        self._trainee: Trainee | None = None
        self._owner: Callable[[], object] = lambda: None

    def trainee(
        self,
        config: TrainConfig,
        model: nn.Module,
        device: torch.device,
        engine: Engine,
        owner: object,
    ) -> Trainee:
        """Return a trainee with the weights of a fresh network.

        It is a new one, but where steps are captured, the last one was of the same structure, and
        its owner is gone: what was captured serves again.

        Args:
            config: configuration of the run.
            model: its network, on the device.
            device: device of the run.
            engine: ways of computing.
            owner: whoever uses the trainee, as long as it lives.
        """
        record = recorder(device, engine)
        if record is None:
            return Trainee(config, model, device, engine, None)
        found = {**structure(config, model), "device": device, "engine": engine}
        if self._trainee is not None and self._structure == found and self._owner() is None:
            self._trainee.restart(config, model)
        else:
            self._trainee = None  # its memory first
            self._trainee = Trainee(config, model, device, engine, record)
        self._structure, self._owner = found, weakref.ref(owner)
        return self._trainee


NURSERY = Nursery()
"""That of this process."""


def looks(device: torch.device, engine: Engine) -> int:
    """Return the number of steps between two looks."""
    return engine.look_every or (1 if device.type == "cpu" else _LOOK_EVERY)


def recorder(device: torch.device, engine: Engine) -> Recorder | None:
    """Return how steps are recorded on a device; None where they are not."""
    late = looks(device, engine) > 1
    return on_card if engine.graphs and device.type == "cuda" and late else None


def structure(config: TrainConfig, model: nn.Module) -> dict[str, Any]:
    """Return all that a captured step can't read anew: runs that differ in it share none."""
    plugged = registry.is_plugin("model", config.model.name)
    return {
        "model": (config.model, id(model) if plugged else None),
        "tensors": [(n, t.shape, t.dtype, t.stride()) for n, t in model.state_dict().items()],
        "loss": _shape_of("loss", config.loss),
        "attack": _shape_of("attack", config.attack),
        "epsilon": config.train_epsilon > 0,
        "own": [
            getattr(config, name)
            for name in ("attack_mode", "averaging_rule", "clip_norm", "normalization", "precision")
        ],
        "terms": (config.momentum > 0, config.weight_decay > 0),
    }


def _shape_of(kind: str, component: Component) -> tuple[str, dict[str, Any]]:
    """Return a variant with its options, but for real numbers that are read anew."""
    anew = not registry.is_plugin(kind, component.name)
    options = {
        name: float if anew and isinstance(value, float) and value else value
        for name, value in component.options.items()
    }
    return component.name, options
