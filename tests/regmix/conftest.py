from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn
from torch.nn import functional as F

import regmix.attacks.fgsm
from regmix.config import TrainConfig
from regmix.data.digits import digits
from regmix.engine import ENGINE, Engine
from regmix.images import Images, Split, split
from regmix.models.small_cnn import small_cnn
from regmix.training.trainer import RegMixTrainer

# The same examples every time, and no clock: a shared machine may be slow.
settings.register_profile("regmix", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("regmix")

TINY = {
    "data": "digits",
    "model": "small_cnn",
    "width": 2,
    "attack": "fgsm",
    "loss": "plain",
    "valid_images": 24,
    "eval_epsilon": 0.1,
    "eval_steps": 2,
    "epochs": 4,
    "batch_size": 20,
    "averaging_decay": 0.9,
    "schedule": "constant",
}


@pytest.fixture
def configure() -> Callable[..., TrainConfig]:
    """Builds a run of milliseconds, with the given changes."""

    def build(**changes: object) -> TrainConfig:
        return TrainConfig.from_flat({**TINY, **changes})

    return build


@pytest.fixture(scope="session")
def tiny_split() -> Split:
    """48 training and 24 validation images of three classes; the last batch of 20 is short."""
    generator = np.random.default_rng(7)
    patterns = generator.integers(0, 256, (3, 1, 8, 8))
    labels = np.arange(72) % 3
    noise = generator.integers(-60, 61, (72, 1, 8, 8))
    pixels = np.clip(patterns[labels] + noise, 0, 255).astype(np.uint8)
    return split(Images(pixels, labels, ("a", "b", "c")), valid=24, train=None, seed=0)


@pytest.fixture
def build(configure: Callable[..., TrainConfig], tiny_split: Split) -> Callable[..., RegMixTrainer]:
    """Builds the trainer of a changed tiny configuration."""

    def with_changes(engine: Engine = ENGINE, **changes: object) -> RegMixTrainer:
        return RegMixTrainer(configure(**changes), tiny_split, torch.device("cpu"), engine)

    return with_changes


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[SimpleNamespace]:
    """Every call of the attack in training, of trainers that are built after this."""
    calls, attack = [], regmix.attacks.fgsm.fgsm

    def fgsm(model, images, start, target, **options):
        attacked = attack(model, images, start, target, **options)
        given = {"images": images, "start": start, "target": target, "options": options}
        calls.append(SimpleNamespace(**given, attacked=attacked))
        return attacked

    monkeypatch.setattr(regmix.attacks.fgsm, "fgsm", fgsm)
    return calls


@pytest.fixture(scope="session")
def digit_images() -> tuple[Tensor, Tensor]:
    """120 real images (N, 1, 8, 8) in [0, 1] with labels (N,)."""
    part = digits("test")
    return torch.from_numpy(part.images[:120]).float() / 255, torch.from_numpy(part.labels[:120])


@pytest.fixture(scope="session")
def trained(digit_images: tuple[Tensor, Tensor]) -> nn.Module:
    """A network in eval mode that is mostly right on `digit_images`, but not always."""
    images, labels = digit_images
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = small_cnn(1, 10, width=4)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(25):
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return model.eval()


@pytest.fixture
def logits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Final, initial and clean logits (5, 4) in float64 and smoothed labels (5, 4)."""
    generator = torch.Generator().manual_seed(0)
    final, initial, clean = torch.randn(3, 5, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(4, (5,), generator=generator)
    target = F.one_hot(labels, 4).double() * 0.7 + 0.075
    return final, initial, clean, target


@pytest.fixture
def linear() -> tuple[nn.Module, Tensor, Tensor, Callable[[float], Tensor]]:
    """Two classes, 400 images, and each image's margin at the worst point within a radius."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(400, 1, 4, 4, generator=generator)
    weight = torch.randn(16, generator=generator)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval()
    model[1].weight.data = torch.stack([torch.zeros(16), weight])
    model[1].bias.data = torch.tensor([0.0, -weight.sum() / 2])
    labels = (torch.rand(400, generator=generator) < 0.1).long() ^ model(images).argmax(1)

    def worst_margin(epsilon: float) -> Tensor:
        side = 2 * labels[:, None] - 1
        worst = (images.flatten(1) - epsilon * side * weight.sign()).clamp(0, 1)
        return side.squeeze(1) * (worst @ weight - weight.sum() / 2)

    return model.requires_grad_(False), images, labels, worst_margin


@pytest.fixture(scope="session")
def flat() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """Four linear classes, 60 images far from the pixel box, and each image's exact radius."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(60, 1, 4, 4, generator=generator) * 0.2 + 0.4
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4)).eval().requires_grad_(False)
    weight = model[1].weight.data = torch.randn(4, 16, generator=generator)
    model[1].bias.data = -weight.sum(1) / 2
    labels = model(images).argmax(1)
    gaps = model(images).gather(1, labels[:, None]) - model(images)
    lengths = (weight[labels][:, None] - weight[None]).abs().sum(2)
    radius = (gaps / lengths).scatter(1, labels[:, None], torch.inf).amin(1)
    return model, images, labels, radius
