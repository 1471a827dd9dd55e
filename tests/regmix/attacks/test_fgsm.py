import pytest
import torch
from torch import nn
from torch.nn import functional as F

from regmix.attacks.fgsm import fgsm
from tests.support.regmix.variants import signed_gradient


def attack(model, images, labels, start, *, epsilon, **options):
    target = F.one_hot(labels, 10).float()
    return fgsm(
        model, images, start, target, epsilon=epsilon, keep_graph=False, **options
    ).perturbation


def test_from_zero_it_is_classic_fgsm(trained, digit_images):
    images, labels = digit_images
    classic = (images + 0.1 * signed_gradient(trained, images, labels)).clamp(0, 1)
    ours = attack(trained, images, labels, torch.zeros_like(images), epsilon=0.1)
    torch.testing.assert_close(images + ours, classic, rtol=0, atol=1e-6)


@pytest.mark.parametrize("step_ratio", [0.5, 1.25, 2.0])
def test_from_noise_it_is_fgsm_rs(trained, digit_images, step_ratio):
    """Wong et al., ICLR 2020: one step from uniform noise, cut to the ball, then to the box."""
    images, labels = digit_images
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) * 0.2 - 0.1
    step = step_ratio * 0.1 * signed_gradient(trained, images + noise, labels)
    theirs = torch.min(torch.max((noise + step).clamp(-0.1, 0.1), -images), 1 - images)
    ours = attack(trained, images, labels, noise, epsilon=0.1, step_ratio=step_ratio)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_without_a_step_it_is_the_projected_start(trained, digit_images):
    images, labels = digit_images
    far = torch.full_like(images, 0.3)
    ours = attack(trained, images, labels, far, epsilon=0.1, step_ratio=0.0)
    torch.testing.assert_close(ours, torch.min(torch.full_like(far, 0.1), 1 - images))


def test_from_corners_a_full_step_leaves_three_values(trained, digit_images):
    # a pixel whose sign agrees stays in its corner, one that disagrees goes to zero
    images, labels = digit_images
    grey = 0.25 + images / 2  # far enough from the faces of the box
    coin = torch.rand(images.shape, generator=torch.Generator().manual_seed(1))
    corners = 0.1 * (coin - 0.5).sign()
    sign = signed_gradient(trained, grey + corners, labels)
    ours = attack(trained, grey, labels, corners, epsilon=0.1)
    torch.testing.assert_close(ours, torch.where(sign * corners < 0, 0.0, corners))


def test_on_a_linear_model_it_finds_the_worst_point_of_the_ball():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(50, 1, 4, 4, generator=generator)
    weight = torch.randn(16, generator=generator)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2, bias=False))
    model[1].weight.data = torch.stack([torch.zeros(16), weight])
    labels = torch.arange(50) % 2
    away = (1 - 2 * labels).view(-1, 1, 1, 1) * weight.view(1, 1, 4, 4).sign()

    start, target = torch.zeros_like(images), F.one_hot(labels, 2).float()
    found = fgsm(model, images, start, target, epsilon=0.2, keep_graph=False).perturbation

    torch.testing.assert_close(images + found, (images + 0.2 * away).clamp(0, 1))
