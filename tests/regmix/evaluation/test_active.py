"""An active test: a trial's evaluation must find adversarial points that surely exist."""

import pytest
import torch
from torch import nn

from regmix.evaluation.apgd_levels import evaluate_trial
from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.pgd_ensemble import random_start, validate


class Rounded(nn.Module):
    """A feature extractor behind rounded images; with `straight` their gradient passes."""

    def __init__(self, features, *, straight):
        super().__init__()
        self.features, self.straight = features, straight

    def forward(self, images):
        rounded = torch.round(images * 500) / 500
        return self.features(images + (rounded - images).detach() if self.straight else rounded)


def survives(model, image, epsilon):
    """Whether the image, of class 0, survives the evaluation at the end of a trial."""
    images, labels = image[None], torch.zeros(1, dtype=torch.int64)
    start = random_start(images, epsilon, seed=0)
    known = validate(model, images, labels, start, epsilon=epsilon, steps=10)
    return evaluate_trial(model, images, labels, start, known, AttackSettings(epsilon, 0)).hits


class Readout(nn.Module):
    """A feature extractor with one linear score behind it, as logits of two classes."""

    def __init__(self, features, weight, threshold):
        super().__init__()
        self.features, self.weight, self.threshold = features, weight, threshold

    def forward(self, images):
        score = self.features(images) @ self.weight - self.threshold
        return torch.stack([-score, score], dim=1)


def noise_around(image, count, radius, generator):
    noise = torch.rand(count, *image.shape, generator=generator) * 2 - 1
    return (image + radius * noise).clamp(0, 1)


def planted(features, image, epsilon, generator):
    """A binary model for which a point at the ball's border surely is adversarial.

    Zimmermann et al., NeurIPS 2022: the readout tells that one point from the image and from
    points inside the ball; the threshold lies where just the planted point is beyond it.
    """
    inside = torch.cat([image[None], noise_around(image, 200, 0.95 * epsilon, generator)])
    corner = torch.randint(0, 2, image.shape, generator=generator) * 2.0 - 1
    border = (image + epsilon * corner).clamp(0, 1)[None]
    with torch.no_grad():
        clean, adversarial = features(inside), features(border)
    spread = torch.cov(clean.T) + 1e-4 * torch.eye(clean.shape[1])
    weight = torch.linalg.solve(spread, adversarial[0] - clean.mean(0))  # Fisher's discriminant
    weight = weight / weight.norm()
    last, beyond = (clean @ weight).max(), (adversarial @ weight).item()
    model = Readout(features, weight, 0.1 * last + 0.9 * beyond).eval()
    with torch.no_grad():
        assert last < beyond, "the readout can't tell the planted point"
        assert model(inside).argmax(1).max() == 0 < model(border).argmax(1)
    return model


def share_found(features, images, epsilon, generator):
    """Of planted points, the shares that a trial's evaluation finds and that chance finds."""
    found, by_chance = 0, 0
    for image in images:
        model = planted(features, image, epsilon, generator)
        found += not survives(model, image, epsilon)
        corners = noise_around(image, 100, epsilon, generator).sub(image).sign() * epsilon
        by_chance += bool(model((image + corners).clamp(0, 1)).argmax(1).any())
    return found / len(images), by_chance / len(images)


def test_an_adversarial_point_that_surely_exists_is_found(trained, digit_images):
    generator = torch.Generator().manual_seed(0)
    found, by_chance = share_found(trained[:-1], digit_images[0][:30], 0.05, generator)
    assert found >= 0.95
    assert by_chance <= 0.5  # otherwise it would be no feat


@pytest.mark.parametrize(("straight", "expected"), [(True, 1.0), (False, 0.0)])
def test_the_planted_point_is_missed_where_gradients_are_hidden(
    trained, digit_images, straight, expected
):
    # the negative control: without a gradient only chance could help
    generator = torch.Generator().manual_seed(0)
    features = Rounded(trained[:-1], straight=straight)
    assert share_found(features, digit_images[0][:5], 0.05, generator)[0] == expected
