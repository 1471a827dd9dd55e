"""N-FGSM and PGD in training: compared with loops written afresh, and seen in the trainer."""

import pytest
import torch
from torch.nn import functional as F

from regmix import registry
from regmix.attacks.fgsm import fgsm
from regmix.attacks.n_fgsm import n_fgsm
from regmix.attacks.pgd import pgd
from tests.support.regmix.variants import signed_gradient


def noise(images, radius):
    generator = torch.Generator().manual_seed(0)
    return radius * (2 * torch.rand(images.shape, generator=generator) - 1)


def attack(function, model, images, labels, start, *, keep_graph=False, **options):
    target = F.one_hot(labels, 10).float()
    return function(model, images, start, target, keep_graph=keep_graph, **options)


@pytest.mark.parametrize("ratio", [1.0, 2.0, 3.0])
def test_n_fgsm_adds_noise_and_a_full_step_and_cuts_pixels_alone(trained, digit_images, ratio):
    """de Jorge et al., NeurIPS 2022, algorithm 1."""
    images, labels = digit_images
    eta = noise(images, ratio * 0.1)
    theirs = (images + eta + 0.1 * signed_gradient(trained, images + eta, labels)).clamp(0, 1)
    how = {"epsilon": 0.1, "noise_ratio": ratio}
    ours = attack(n_fgsm, trained, images, labels, eta, **how).perturbation
    torch.testing.assert_close(images + ours, theirs, rtol=0, atol=1e-6)
    assert ours.abs().max() > 0.1 * ratio  # outside the ball, else the comparison says little


def test_n_fgsm_from_zero_is_fgsm(trained, digit_images):
    images, labels = digit_images
    zero = torch.zeros_like(images)
    ours, theirs = (
        attack(one, trained, images, labels, zero, epsilon=0.1).perturbation
        for one in (n_fgsm, fgsm)
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("ratio", [0.5, 2.0])
def test_the_trainer_draws_the_wider_noise(build, monkeypatch, ratio):
    starts = []

    def recorder(model, images, start, target, **options):
        starts.append(start)
        return n_fgsm(model, images, start, target, **options)

    monkeypatch.setattr("regmix.attacks.n_fgsm.n_fgsm", recorder)
    how = {"attack": "n_fgsm", "initialization": "random", "noise_ratio": ratio}
    list(build(epochs=1, **how).epochs())
    widest = torch.cat(starts).abs().max()
    assert 0.99 * ratio * 0.1 < widest <= ratio * 0.1


def textbook_pgd(model, images, labels, start, *, epsilon, step, steps):
    """Madry et al., ICLR 2018, on the image instead of the perturbation."""
    low, high = (images - epsilon).clamp(0, 1), (images + epsilon).clamp(0, 1)
    point = images + start
    for _ in range(steps):
        moved = point + step * signed_gradient(model, point, labels)
        point = torch.max(torch.min(moved, high), low)
    return point


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_pgd_is_the_textbook_attack(trained, digit_images, steps):
    images, labels = digit_images
    grey = 0.25 + images / 2  # the start stays in the box, as the textbook's does
    start = noise(grey, 0.1)
    theirs = textbook_pgd(trained, grey, labels, start, epsilon=0.1, step=0.03, steps=steps)
    how = {"epsilon": 0.1, "step_ratio": 0.3, "steps": steps}
    ours = attack(pgd, trained, grey, labels, start, **how).perturbation
    # a gradient that is zero but for rounding may have either sign
    assert ((grey + ours - theirs).abs() < 1e-5).float().mean() > 0.999


def test_one_step_of_pgd_is_fgsm(trained, digit_images):
    images, labels = digit_images
    how = {"epsilon": 0.1, "step_ratio": 0.7}
    one = attack(pgd, trained, images, labels, noise(images, 0.1), steps=1, **how)
    other = attack(fgsm, trained, images, labels, noise(images, 0.1), **how)
    torch.testing.assert_close(tuple(one), tuple(other), rtol=0, atol=0)


def test_more_steps_find_a_higher_loss(trained, digit_images):
    images, labels = digit_images
    losses = []
    for steps in (1, 3, 10):
        zero, how = torch.zeros_like(images), {"epsilon": 0.1, "step_ratio": 0.25, "steps": steps}
        moved = attack(pgd, trained, images, labels, zero, **how).perturbation
        losses.append(F.cross_entropy(trained(images + moved), labels).item())
    assert losses == sorted(losses)
    assert losses[-1] > 1.2 * losses[0]


def test_pgd_calls_the_network_once_a_step(trained, digit_images):
    images, labels = digit_images
    calls = []
    handle = trained.register_forward_hook(lambda *_: calls.append(1))
    attack(pgd, trained, images, labels, torch.zeros_like(images), epsilon=0.1, steps=4)
    handle.remove()
    assert len(calls) == 4


@pytest.mark.parametrize("loss", ["regmix", "trades", "mart", "mse"])
@pytest.mark.parametrize("attack_name", registry.names("attack"))
def test_every_attack_trains_with_every_kind_of_loss(build, loss, attack_name):
    for initialization in ("history", "random"):
        trainer = build(loss=loss, attack=attack_name, initialization=initialization)
        (metrics,) = trainer.epochs(until=1)
        assert 0 < metrics.train_loss < 100
