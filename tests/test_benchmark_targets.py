"""The variants of Auto-PGD that were tried: exact where a model is linear."""

import pytest
import torch
from torch import nn

from benchmarks.targets import LEVELS, WAYS, probability_margin, ranked, survivors
from regmix.data.digits import digits
from regmix.evaluation.apgd_levels import after_apgd
from regmix.evaluation.attack_settings import AttackSettings

EPSILON = 0.03


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)
        return nn.Sequential(*layers).eval().requires_grad_(False)


def test_the_levels_way_has_the_verdicts_of_the_project(network):
    part = digits("test")
    images = torch.from_numpy(part.images[:60]).float() / 255
    labels = network(images).argmax(1)
    alive = torch.arange(60) % 5 != 0
    steps, targets = LEVELS["trial"]
    ours = after_apgd(
        network, images, labels, alive, AttackSettings(EPSILON, 0), steps=steps, targets=targets
    )
    again = survivors(network, images, labels, alive, EPSILON, WAYS["MALT's order"], "trial")
    assert again.tolist() == ours.tolist()
    assert 0 < int(ours.sum()) < int(alive.sum())


@pytest.mark.parametrize("name", list(WAYS))
def test_every_way_finds_what_a_linear_model_has_and_no_more(name):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(40, 1, 4, 4, generator=generator) * 0.2 + 0.4
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4)).eval().requires_grad_(False)
    model[1].weight.data = torch.randn(4, 16, generator=generator)
    model[1].bias.data = -model[1].weight.sum(1) / 2
    labels, logits = model(images).argmax(1), model(images)
    weights = model[1].weight
    lengths = (weights[labels][:, None] - weights[None]).abs().sum(2)
    distances = (logits.gather(1, labels[:, None]) - logits) / lengths
    distances.scatter_(1, labels[:, None], torch.inf)
    epsilon = float(distances.amin(1).median()) + 1e-4
    order = ranked(model, images, labels, scaled=True)
    assert order.tolist() == distances.argsort(1)[:, :-1].tolist()
    everyone = torch.ones(40, dtype=torch.bool)
    alive = survivors(model, images, labels, everyone, epsilon, WAYS[name], "finalist")
    assert alive.tolist() == (distances.amin(1) > epsilon).tolist()


def test_targets_by_logits_are_the_likeliest_wrong_classes(network):
    images = torch.from_numpy(digits("test").images[:5]).float() / 255
    labels = torch.tensor([3, 1, 4, 1, 5])
    order = ranked(network, images, labels, scaled=False)
    for row, label, logits in zip(order, labels, network(images), strict=True):
        assert sorted([*row.tolist(), int(label)]) == list(range(10))
        assert label not in row and logits[row].tolist() == sorted(logits[row], reverse=True)


def test_a_probability_margin_is_positive_where_the_label_has_lost():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]])
    labels = torch.tensor([0, 0])
    shares = logits.softmax(1)
    best = probability_margin(logits, labels)
    expected = torch.stack([shares[0, 1] - shares[0, 0], shares[1, 2] - shares[1, 0]])
    torch.testing.assert_close(best, expected)
    towards = probability_margin(logits, labels, torch.tensor([2, 1]))
    expected = torch.stack([shares[0, 2] - shares[0, 0], shares[1, 1] - shares[1, 0]])
    torch.testing.assert_close(towards, expected)
