"""What every model promises: walks the folder, so a new file is covered."""

import pytest
import torch
from torch.nn import functional as F

from regmix import registry
from regmix.config import TrainConfig
from regmix.models.resnet18 import resnet18
from regmix.models.small_cnn import small_cnn
from regmix.trainer import build_model

EVERY = pytest.mark.parametrize("name", registry.names("model"))


def build(name, channels, classes, seed=0):
    rooms = {"data": "digits", "model": name, "attack": "fgsm", "loss": "plain", "seed": seed}
    return build_model(TrainConfig.from_flat(rooms), channels, classes)


def count(model):
    return sum(weight.numel() for weight in model.parameters())


@EVERY
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 32)])
@pytest.mark.parametrize("classes", [2, 10])
def test_images_become_one_logit_for_each_class(name, channels, size, classes):
    model = build(name, channels, classes).eval()
    with torch.no_grad():
        logits = model(torch.rand(2, channels, size, size))
    assert logits.shape == (2, classes)
    assert logits.isfinite().all()


@EVERY
def test_one_step_lowers_the_loss(name):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(8, 1, 8, 8, generator=generator)
    labels = torch.arange(8) % 4
    model = build(name, 1, 4).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    before = F.cross_entropy(model(images), labels)
    before.backward()
    optimizer.step()
    assert all(weight.grad is not None for weight in model.parameters())
    assert F.cross_entropy(model(images), labels) < before


@EVERY
def test_in_eval_mode_an_image_is_judged_alone(name):
    model = build(name, 1, 4).eval()
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        alone = torch.cat([model(image[None]) for image in images])
        torch.testing.assert_close(model(images), alone)


@EVERY
def test_weights_follow_from_the_seed_and_not_from_the_world(name):
    one = build(name, 1, 4, seed=1).state_dict()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        again = build(name, 1, 4, seed=1).state_dict()
    other = build(name, 1, 4, seed=2).state_dict()
    torch.testing.assert_close(again, one, rtol=0, atol=0)
    name = next(key for key in one if key.endswith("weight"))
    assert not torch.equal(other[name], one[name])


def test_resnet18_has_the_published_number_of_parameters():
    assert count(resnet18(3, 10)) == 11_173_962


def test_resnet18_keeps_the_resolution_at_its_stem():
    model = resnet18(3, 10).eval()
    maps = []
    model.layer1.register_forward_hook(lambda *seen: maps.append(seen[2].shape))
    with torch.no_grad():
        model(torch.rand(1, 3, 32, 32))
    assert maps == [(1, 64, 32, 32)]


@pytest.mark.parametrize("width", [1, 4, 16])
def test_small_cnn_has_the_parameters_that_its_docstring_says(width):
    convolutions = 9 * width * (3 + 2 * width + 8 * width)  # 3 -> w -> 2w -> 4w channels
    statistics = 2 * (1 + 2 + 4) * width
    assert count(small_cnn(3, 10, width=width)) == convolutions + statistics + 40 * width + 10
