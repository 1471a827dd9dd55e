"""What every attack in training promises: walks the folder, so a new file is covered."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from regmix import registry
from tests.support.regmix.variants import defaults

EVERY = pytest.mark.parametrize("name", registry.names("attack"))


def load(name):
    return registry.find("attack", name, defaults("attack", name))


def radius(name, epsilon):
    return registry.module("attack", name).radius(epsilon=epsilon, **defaults("attack", name))


def case(seed, spread=1.0):
    """A random network, images, starts and targets of three classes."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3))
    for weight in model.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
    images = torch.rand(5, 1, 4, 4, generator=generator)
    start = spread * torch.randn(images.shape, generator=generator)
    target = torch.eye(3)[torch.randint(3, (5,), generator=generator)]
    return model, images, start, target


@EVERY
@given(seed=st.integers(0, 2**32), epsilon=st.floats(0, 1), spread=st.floats(0, 2))
def test_it_stays_within_its_radius_and_in_the_box(name, seed, epsilon, spread):
    model, images, start, target = case(seed, spread)
    attacked = load(name)(model, images, start, target, epsilon=epsilon, keep_graph=False)
    assert attacked.perturbation.shape == images.shape
    assert attacked.perturbation.abs().max() <= radius(name, epsilon).final + 1e-6
    assert (images + attacked.perturbation).min() >= 0
    assert (images + attacked.perturbation).max() <= 1


@EVERY
def test_the_loss_rises_on_nearly_every_image(name, trained, digit_images):
    images, labels = digit_images
    target, start = F.one_hot(labels, 10).float(), torch.zeros_like(images)
    attacked = load(name)(trained, images, start, target, epsilon=0.03, keep_graph=False)
    losses = [
        F.cross_entropy(trained(images + move), labels, reduction="none")
        for move in (start, attacked.perturbation)
    ]
    assert (losses[1] > losses[0]).float().mean() > 0.95
    assert losses[1].mean() > 1.5 * losses[0].mean()


@EVERY
@pytest.mark.parametrize("keep_graph", [True, False])
def test_it_leaves_no_gradient_behind_and_changes_no_input(name, keep_graph):
    model, images, start, target = case(seed=0)
    before = copy.deepcopy((images, start, target))
    load(name)(model, images, start, target, epsilon=0.1, keep_graph=keep_graph)
    assert all(weight.grad is None for weight in model.parameters())
    assert not start.requires_grad
    torch.testing.assert_close((images, start, target), before, rtol=0, atol=0)


@EVERY
def test_weights_and_in_eval_mode_statistics_stay(name, trained, digit_images):
    images, labels = digit_images
    before = copy.deepcopy(trained.state_dict())
    start, target = torch.zeros_like(images), F.one_hot(labels, 10).float()
    load(name)(trained, images, start, target, epsilon=0.1, keep_graph=True)
    torch.testing.assert_close(trained.state_dict(), before, rtol=0, atol=0)


@EVERY
def test_the_initial_logits_train_the_network_where_their_graph_is_kept(name):
    model, images, start, target = case(seed=1)
    attacked = load(name)(model, images, start, target, epsilon=0.1, keep_graph=True)
    ours = torch.autograd.grad(attacked.initial.square().sum(), list(model.parameters()))
    theirs = torch.autograd.grad(model(images + start).square().sum(), list(model.parameters()))
    torch.testing.assert_close(ours, theirs)


@EVERY
def test_the_initial_logits_are_constants_where_their_graph_is_dropped(name):
    model, images, start, target = case(seed=1)
    kept, dropped = (
        load(name)(model, images, start, target, epsilon=0.1, keep_graph=keep)
        for keep in (True, False)
    )
    assert not dropped.initial.requires_grad
    torch.testing.assert_close(dropped.initial, kept.initial.detach(), rtol=0, atol=0)
    torch.testing.assert_close(dropped.perturbation, kept.perturbation, rtol=0, atol=0)


@EVERY
@pytest.mark.parametrize("keep_graph", [True, False])
def test_perturbation_and_gradient_are_constants(name, keep_graph):
    attacked = load(name)(*case(seed=2), epsilon=0.1, keep_graph=keep_graph)
    assert not attacked.perturbation.requires_grad
    assert not attacked.gradient.requires_grad


@EVERY
def test_the_gradient_is_that_of_the_mean_cross_entropy_at_the_start(name):
    model, images, start, target = case(seed=3)
    point = (images + start).requires_grad_()
    (expected,) = torch.autograd.grad(F.cross_entropy(model(point), target), point)
    attacked = load(name)(model, images, start, target, epsilon=0.1, keep_graph=False)
    torch.testing.assert_close(attacked.gradient, expected)


@EVERY
def test_without_a_radius_nothing_moves(name):
    attacked = load(name)(*case(seed=4), epsilon=0.0, keep_graph=False)
    assert not attacked.perturbation.any()


@EVERY
def test_its_radius_grows_with_epsilon_and_holds_its_starts(name):
    one, double = radius(name, 0.1), radius(name, 0.2)
    assert double == pytest.approx([2 * radius for radius in one])
    assert 0.1 <= one.start <= one.final


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_the_attacks_of_the_ball_claim_no_more_than_it(name):
    assert radius(name, 0.1) == (0.1, 0.1)
