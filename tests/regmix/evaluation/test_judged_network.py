"""A network made ready for judging answers as it did, whatever it is built of."""

import pytest
import torch
from torch import nn

from regmix import registry
from regmix.engine import Engine
from regmix.errors import NonFiniteError
from regmix.evaluation.judged_network import foldable, judged, pairs
from regmix.evaluation.pgd_ensemble import pgd, random_start
from regmix.normalization import Normalized


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def stirred(network):
    """The network in eval mode with running statistics and scales that are not those of a start."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.weight is not None:
                nn.init.uniform_(module.weight, 0.5, 2)
                nn.init.normal_(module.bias)
    return network.eval()


IMAGES = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def norms(network):
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def small(**how):
    return stirred(registry.find("model", "small_cnn", {"width": 4})(3, 10, **how))


@pytest.mark.parametrize("count", [1, 5, 32, 40])
@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("small_cnn", 0),
        ("resnet18", 0),
        ("preactresnet18", 9),
    ],  # of 17: those before a convolution stay
)
def test_every_network_answers_the_same_with_its_batch_norm_folded(name, left, count):
    network = stirred(registry.find("model", name, {"width": 4})(3, 10))
    ready = judged(network, IMAGES, Engine())
    expected = network(IMAGES[:count])
    assert norms(ready) == left < norms(network)
    torch.testing.assert_close(ready(IMAGES[:count]), expected, rtol=1e-4, atol=1e-4)


def test_the_network_itself_stays_as_it_is():
    network = small()
    before = {name: weight.clone() for name, weight in network.state_dict().items()}
    ready = judged(network, IMAGES, Engine())
    ready(IMAGES)
    assert not any(weight.requires_grad for weight in ready.parameters())
    assert all(weight.requires_grad for weight in network.parameters())
    for name, weight in network.state_dict().items():
        assert torch.equal(weight, before[name])
        assert weight.stride() == before[name].stride()


def test_weights_that_change_later_are_not_judged():
    network = small()
    ready, before = judged(network, IMAGES, Engine()), network(IMAGES)
    nn.init.zeros_(network[-1].weight)
    torch.testing.assert_close(ready(IMAGES), before, rtol=1e-4, atol=1e-4)


class Branching(nn.Module):
    """The convolution's output goes past the batch norm, too: folded it would answer otherwise."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.last = nn.Linear(4, 10)

    def forward(self, images):
        found = self.convolution(images)
        return self.last((self.norm(found) + found).mean((2, 3)))


class Twice(Branching):
    """One batch norm behind a convolution, and again behind what came of it."""

    def forward(self, images):
        return self.last(self.norm(self.norm(self.convolution(images))).mean((2, 3)))


class Between(Branching):
    """Something happens in between."""

    def forward(self, images):
        return self.last(self.norm(self.convolution(images).relu()).mean((2, 3)))


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("kind", [Branching, Twice, Between])
def test_what_can_not_be_folded_is_judged_as_it_is(kind, fresh):
    network = kind().eval() if fresh else stirred(kind())
    assert foldable(network, IMAGES) == ()
    ready = judged(network, IMAGES, Engine())
    assert norms(ready) == 1
    torch.testing.assert_close(ready(IMAGES), network(IMAGES), rtol=1e-4, atol=1e-4)


def test_a_batch_norm_of_its_own_batch_is_no_pair():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    assert pairs(network, IMAGES) == ()


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Conv2d(3, 4, 3, bias=True), nn.BatchNorm2d(4)],
        [nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False)],
        [nn.Conv2d(3, 6, 3, groups=3, bias=False), nn.BatchNorm2d(6)],
    ],
)
def test_bias_scale_and_groups_may_be_there_or_not(layers):
    torch.manual_seed(2)
    network = stirred(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    ready = judged(network, IMAGES, Engine())
    assert norms(ready) == 0
    torch.testing.assert_close(ready(IMAGES), network(IMAGES), rtol=1e-4, atol=1e-4)


def test_a_normalised_network_is_folded_inside():
    network = Normalized(small(), 3)
    network.fit((IMAGES * 255).byte())
    ready = judged(network.eval(), IMAGES, Engine())
    assert norms(ready) == 0
    torch.testing.assert_close(ready(IMAGES), network(IMAGES), rtol=1e-4, atol=1e-4)


def test_a_batch_is_padded_to_a_multiple_and_the_rest_is_thrown_away():
    network, seen = small(), []
    ready = judged(network, IMAGES, Engine(bucket=16))
    ready.network.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    for count in (1, 15, 16, 17, 40):
        assert ready(IMAGES[:count]).shape == (count, 10)
    assert seen == [16, 16, 16, 32, 48]
    ready = judged(network, IMAGES, Engine(bucket=1))
    assert ready(IMAGES[:7]).shape == (7, 10)


def test_no_image_at_all_is_no_mistake():
    assert judged(small(), IMAGES, Engine())(IMAGES[:0]).shape == (0, 10)


@pytest.mark.parametrize("engine", [Engine(), Engine(bucket=1), Engine(folded=False)])
def test_the_gradient_of_an_image_is_its_own_whatever_is_padded(engine):
    network, ready = small(), judged(small(), IMAGES, engine)
    ready = judged(network, IMAGES, engine)
    found = []
    for model in (network, ready):
        points = IMAGES[:5].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(points).logsumexp(1).sum(), points)
        found.append(gradient)
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("off", [{}, {"bucket": 1}, {"folded": False}, {"channels_last": False}])
def test_a_verdict_depends_on_no_switch(trained, digit_images, off):
    images, labels = digit_images
    start = random_start(images, 0.06, seed=3)
    how = {"epsilon": 0.06, "step": 0.06, "steps": 6, "schedule": "falling"}
    plain, _ = pgd(trained, images, labels, start, **how)
    ready, _ = pgd(judged(trained, images, Engine(**off)), images, labels, start, **how)
    assert torch.equal(plain, ready)


def test_an_answer_that_is_not_finite_is_told_folded_or_not():
    network = small()
    network[0].weight.data[0, 0, 0, 0] = float("inf")
    with pytest.raises(NonFiniteError):
        judged(network, IMAGES, Engine())(IMAGES)
