"""What every model promises: walks the folder, so a new file is covered."""

import pytest
import torch
from torch.nn import functional as F

from regmix import registry
from regmix.config import TrainConfig
from regmix.models._preactivation import Block
from regmix.models.preactresnet18 import preactresnet18
from regmix.models.resnet18 import resnet18
from regmix.models.small_cnn import small_cnn
from regmix.models.wrn34_10 import wrn34_10
from regmix.torchvision_cpu import torchvision
from regmix.training.trainer import build_model

EVERY = pytest.mark.parametrize("name", registry.names("model"))


def build(name, channels, classes, seed=0):
    """A narrow one where the model has a width: the promises don't depend on it.

    Not below 8 channels: oneDNN 3.12 in torch 2.13 writes beyond its memory then, on processors
    with AVX2 and without AVX-512, in the backward pass of a ResNet ("corrupted size").
    """
    rooms = {"data": "digits", "model": name, "attack": "fgsm", "loss": "plain", "seed": seed}
    narrow = {"width": 8} if "width" in registry.options("model", name) else {}
    return build_model(TrainConfig.from_flat(rooms | narrow), channels, classes)


def count(model):
    return sum(weight.numel() for weight in model.parameters())


@EVERY
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 32), (2, 64)])
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
def test_in_eval_mode_an_image_is_classified_alone(name):
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


def pairs(inputs, outputs, blocks):
    """Parameters of the 3x3 convolutions of a group: two in each block."""
    return 9 * (inputs * outputs + (2 * blocks - 1) * outputs * outputs)


def resnet18_parameters(w):
    """Stem, four groups of two blocks, 1x1 shortcuts, a BatchNorm behind each, linear layer."""
    convolutions = 9 * 3 * w + pairs(w, w, 2) + sum(pairs(k * w, 2 * k * w, 2) for k in (1, 2, 4))
    shortcuts = sum(k * w * 2 * k * w for k in (1, 2, 4))
    statistics = 2 * w + 2 * w * 4 * (1 + 2 + 4 + 8) + 2 * w * (2 + 4 + 8)
    return convolutions + shortcuts + statistics + 8 * w * 10 + 10


def preactresnet18_parameters(w):
    """The same convolutions; each BatchNorm comes before its own, and one after the last."""
    convolutions = 9 * 3 * w + pairs(w, w, 2) + sum(pairs(k * w, 2 * k * w, 2) for k in (1, 2, 4))
    shortcuts = sum(k * w * 2 * k * w for k in (1, 2, 4))
    statistics = 2 * (4 * w + sum(k * w + 3 * 2 * k * w for k in (1, 2, 4))) + 2 * 8 * w
    return convolutions + shortcuts + statistics + 8 * w * 10 + 10


def wrn34_parameters(k):
    """Three groups of five blocks on 16k, 32k and 64k channels behind a stem of 16."""
    groups = [(16, 16 * k), (16 * k, 32 * k), (32 * k, 64 * k)]
    convolutions = 9 * 3 * 16 + sum(pairs(*group, 5) for group in groups)
    shortcuts = sum(inputs * outputs for inputs, outputs in groups)
    statistics = sum(2 * (inputs + 9 * outputs) for inputs, outputs in groups) + 2 * 64 * k
    return convolutions + shortcuts + statistics + 64 * k * 10 + 10


@pytest.mark.parametrize(
    ("model", "by_hand", "width", "published"),
    [
        (resnet18, resnet18_parameters, 64, 11_173_962),
        (preactresnet18, preactresnet18_parameters, 64, 11_172_170),  # with the last BatchNorm
        (wrn34_10, wrn34_parameters, 10, 46_160_474),
    ],
)
def test_the_parameters_are_the_published_ones_and_follow_the_width(
    model, by_hand, width, published
):
    with torch.device("meta"):  # counted without being drawn
        assert count(model(3, 10)) == by_hand(width) == published
        assert count(model(3, 10, width=3)) == by_hand(3)


def test_resnet18_has_torchvisions_own_weights_behind_its_stem():
    def seeded(make):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return make().state_dict()

    ours = seeded(lambda: resnet18(3, 10))
    theirs = seeded(lambda: torchvision.models.resnet18(num_classes=10))
    assert ours.keys() == theirs.keys()
    del ours["conv1.weight"], theirs["conv1.weight"]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert seeded(lambda: resnet18(3, 10, width=8)).keys() == seeded(lambda: resnet18(3, 10)).keys()


@pytest.mark.parametrize(("model", "width"), [(resnet18, 8), (preactresnet18, 8), (wrn34_10, 1)])
def test_convolutions_behind_the_stem_begin_with_the_outgoing_fan(model, width):
    kernels = [kernel.detach() for kernel in model(3, 10, width=width).parameters()]
    kernels = [kernel for kernel in kernels if kernel.shape[2:] == (3, 3)][1:]
    spreads = [kernel.std().item() * (9 * len(kernel) / 2) ** 0.5 for kernel in kernels]
    assert spreads == pytest.approx([1] * len(kernels), abs=0.15)


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(4, 4, 1), (4, 6, 1), (4, 6, 2)])
def test_a_pre_activation_block_is_what_its_papers_say(inputs, outputs, stride):
    generator = torch.Generator().manual_seed(0)
    block = Block(inputs, outputs, stride).train()
    for norm in (block.bn1, block.bn2):
        norm.weight.data = torch.rand(len(norm.weight), generator=generator) + 0.5
        norm.bias.data = torch.randn(len(norm.bias), generator=generator)
    features = torch.randn(5, inputs, 8, 8, generator=generator)
    before = features.clone()

    def active(values, norm):
        return F.batch_norm(values, None, None, norm.weight, norm.bias, training=True).relu()

    first = active(features, block.bn1)
    hidden = F.conv2d(first, block.conv1.weight, stride=stride, padding=1)
    change = F.conv2d(active(hidden, block.bn2), block.conv2.weight, padding=1)
    same = inputs == outputs and stride == 1
    around = features if same else F.conv2d(first, block.shortcut.weight, stride=stride)
    torch.testing.assert_close(block(features), around + change)
    assert (block.shortcut is None) == same
    assert torch.equal(features, before)  # the ReLUs in place touch nobody else's


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize(
    ("model", "width", "channels", "shrinking"),
    [
        (preactresnet18, 2, (2, 4, 8, 16), (1, 2, 4, 8)),
        (wrn34_10, 1, (16, 32, 64), (1, 2, 4)),
    ],
)
def test_every_group_but_the_first_halves_the_resolution(model, width, channels, shrinking, size):
    network = model(3, 10, width=width).eval()
    maps = []
    for block in network:
        if isinstance(block, Block):
            block.register_forward_hook(lambda *seen: maps.append(tuple(seen[2].shape[1:])))
    with torch.no_grad():
        network(torch.rand(1, 3, size, size))
    blocks = 2 if len(channels) == 4 else 5
    expected = [(c, size // s, size // s) for c, s in zip(channels, shrinking, strict=True)]
    assert maps == [shape for shape in expected for _ in range(blocks)]


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
