"""One training step on random images, before a search: do network, images and batch fit?

`python -m regmix.training.rehearsal` reads a `Rehearsal` as JSON, and exits with status 2 and one
line where they don't: so a driver can ask without loading torch itself.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regmix import registry
from regmix.config import TrainConfig
from regmix.errors import InputError, NonFiniteError, first_line, of_memory
from regmix.images import Images, Split
from regmix.interfaces import AttackResult, Loss, LossInputs
from regmix.plugins import Plugins, install
from regmix.training.batches import smallest_batch
from regmix.training.trainer import RegMixTrainer

_ROUNDING = 1e-5  # of pixels
_SHORT = MappingProxyType({"steps": 1})  # an attack's later steps are as its first


def rehearse(
    config: TrainConfig, shape: tuple[int, int, int], classes: int, train_images: int
) -> None:
    """Train the configuration's own network for one step, and ask it in eval mode.

    The step is on random images on the CPU in fp32: two of them, or one where the run would have
    a batch of one. An attack with `steps` takes one step, so that the largest network needs
    seconds.

    Args:
        config: configuration of a run.
        shape: (C, H, W) of an image.
        classes: K, number of classes.
        train_images: number of images that the run trains on.

    Raises:
        InputError: where network, attack or loss can't work with such images, batches and
            classes, or one of them breaks its contract in `regmix.interfaces`.
    """
    count = min(2, smallest_batch(train_images, config.batch_size))
    attack = config.attack
    if not _SHORT.keys().isdisjoint(attack.options):
        attack = replace(attack, options=MappingProxyType({**attack.options, **_SHORT}))
    config = replace(config, attack=attack, precision="fp32")
    data = _random_images(shape, classes, count)
    size = f"images of {shape[0]}x{shape[1]}x{shape[2]} in batches of {count}"
    with _told(config, size):
        trainer = RegMixTrainer(config, Split(data, data), torch.device("cpu"))
        if not any(weight.requires_grad for weight in trainer.model.parameters()):
            raise InputError(f"model {config.model.name}: has no weight to train; give it some")
        pixels = torch.from_numpy(data.images).float() / 255
        with torch.no_grad():
            for model, some in (
                (trainer.model.train(), pixels),
                (trainer.average.model, pixels[:1]),  # as the last survivor of an evaluation
            ):
                _check_logits(f"model {config.model.name}", model(some), len(some), classes)
        _check_attack(config, trainer.model, pixels, classes)
        _check_loss(config, count, classes)
        trainer.train_batch(torch.arange(count))


def _random_images(shape: tuple[int, int, int], classes: int, count: int) -> Images:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (count, *shape), dtype=np.uint8)
    labels = np.arange(count, dtype=np.int64) % classes
    return Images(pixels, labels, tuple(map(str, range(classes))))


def _check_logits(place: str, logits: object, count: int, classes: int) -> None:
    """Raise InputError where logits are not (N, K) finite numbers."""
    _check_tensor(place, "logits", logits, (count, classes))
    assert isinstance(logits, Tensor)
    if not torch.isfinite(logits).all():
        raise InputError(
            f"{place}: gives logits that are NaN or infinite before anything is trained; correct "
            "it, or how its weights begin"
        )


def _check_tensor(place: str, what: str, found: object, shape: tuple[int, ...]) -> None:
    if not isinstance(found, Tensor):
        raise InputError(
            f"{place}: must return a tensor of {what}, but returns {type(found).__name__}; "
            "correct it"
        )
    if found.shape != shape or not found.is_floating_point():
        raise InputError(
            f"{place}: must return {what} as real numbers of the shape {shape}, but returns "
            f"{tuple(found.shape)} of {found.dtype}; correct it"
        )


def _check_attack(config: TrainConfig, model: nn.Module, pixels: Tensor, classes: int) -> None:
    """Raise InputError where an attack breaks `interfaces.Attack`, which it may in silence."""
    name, options = config.attack.name, config.attack.options
    place, epsilon = f"attack {name}", config.train_epsilon
    attack = registry.find("attack", name, options)
    radius = registry.companion("attack", name)(epsilon=epsilon, **options).final
    target, start = _target(len(pixels), classes), torch.zeros_like(pixels)
    found = attack(model, pixels, start, target, epsilon=epsilon, keep_graph=False)
    if not isinstance(found, AttackResult):
        raise InputError(
            f"{place}: must return an AttackResult, but returns {type(found).__name__}; correct it"
        )
    _check_tensor(place, "perturbations", found.perturbation, tuple(pixels.shape))
    _check_tensor(place, "the gradient", found.gradient, tuple(pixels.shape))
    _check_logits(place, found.initial, len(pixels), classes)
    attacked = pixels + found.perturbation
    if not (
        found.perturbation.abs().max() <= radius + _ROUNDING
        and attacked.min() >= -_ROUNDING
        and attacked.max() <= 1 + _ROUNDING
    ):
        raise InputError(
            f"{place}: must stay within its radius of {radius:.4g} and pixels in [0, 1], but does "
            "not; project what it returns by regmix.projection.project"
        )


def _check_loss(config: TrainConfig, count: int, classes: int) -> None:
    """Raise InputError where a loss returns anything but one number, such as one an image.

    So it does where a loss of a user's own fails without the clean output for which its `inputs`
    did not ask, and works with it.
    """
    name, options = config.loss.name, config.loss.options
    asked = registry.companion("loss", name)(**options)
    if not isinstance(asked, LossInputs):
        raise InputError(
            f"loss {name}: its inputs() must return LossInputs, but returns "
            f"{type(asked).__name__}; correct it"
        )
    final, initial, clean = torch.randn(3, count, classes, generator=torch.Generator())
    loss, target = registry.find("loss", name, options), _target(count, classes)
    try:
        found = loss(final, initial, clean if asked.clean else None, target)
    except Exception as error:
        place = registry.plugin_place(error)
        if asked.clean or place is None or not _works(loss, final, initial, clean, target):
            raise
        raise InputError(
            f"{place}: fails as clean is None, since inputs() says that it isn't needed "
            f"({type(error).__name__}: {first_line(error)}); return clean=True there"
        ) from error
    _check_tensor(f"loss {name}", "one number", found, ())


def _works(loss: Loss, *outputs: Tensor) -> bool:
    try:
        loss(*outputs)
    except Exception:  # a plug-in's, of whatever kind
        return False
    return True


def _target(count: int, classes: int) -> Tensor:
    return F.one_hot(torch.arange(count) % classes, classes).float()


@contextmanager
def _told(config: TrainConfig, size: str) -> Iterator[None]:
    """Say in one line what torch, or a plug-in's own code, had against the step."""
    try:
        yield
    except InputError:
        raise
    except NonFiniteError as error:
        raise InputError(
            f"loss {config.loss.name}, attack {config.attack.name}: {first_line(error)}; lower the "
            "loss's weights, or correct them"
        ) from None
    except Exception as error:
        if of_memory(error):  # the run's device may have more: it will say itself
            return
        place, reason = registry.plugin_place(error), f"{type(error).__name__}: {first_line(error)}"
        if place is not None:
            raise InputError(f"{place}: fails with {size} ({reason}); correct it") from error
        if not isinstance(error, RuntimeError | ValueError):  # torch's, of shapes
            raise
        raise InputError(
            f"model {config.model.name}: can't be trained with {size} ({first_line(error)[:90]}); "
            "choose another model, batch_size or size of images"
        ) from error


def rehearse_all(asked: Mapping[str, Any]) -> None:
    """Rehearse what was asked for as JSON.

    Args:
        asked: `configs`, a list of flat configurations; `shape`, `classes` and `train_images`
            as `rehearse` takes them; `plugins`, None or a mapping of `sources` and `folder`.

    Raises:
        InputError: as `rehearse` does.
    """
    if asked.get("plugins"):
        install(Plugins(asked["plugins"]["sources"], asked["plugins"]["folder"]))
    channels, height, width = asked["shape"]
    for flat in asked["configs"]:
        config = TrainConfig.from_flat(flat)
        rehearse(config, (channels, height, width), asked["classes"], asked["train_images"])


def main() -> int:
    """Return 0 where everything fits, 2 with one line where something does not."""
    try:
        rehearse_all(json.load(sys.stdin))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
