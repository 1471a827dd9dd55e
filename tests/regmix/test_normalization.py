"""Normalisation lies inside the model: attacks and radii stay in pixels."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from regmix.data.digits import digits
from regmix.fit import normalized_remarks
from regmix.images import Images, split
from regmix.models.small_cnn import small_cnn
from regmix.normalization import Normalized
from regmix.training import checkpoint
from regmix.training.trainer import RegMixTrainer, build_model


@pytest.fixture
def pixels():
    """Images (50, 3, 6, 6) uint8 whose channels differ in brightness and contrast."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(50, 3, 6, 6, generator=generator)
    spread, centre = torch.tensor([[5.0], [20.0], [40.0]]), torch.tensor([[30.0], [128.0], [200.0]])
    return (noise * spread[..., None] + centre[..., None]).clamp(0, 255).byte()


@pytest.fixture
def fitted(pixels):
    model = Normalized(nn.Identity(), 3)
    model.fit(pixels)
    return model


def test_each_channel_has_mean_0_and_deviation_1_behind_it(pixels, fitted):
    seen = fitted(pixels.float() / 255)
    torch.testing.assert_close(seen.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(seen.std((0, 2, 3)), torch.ones(3), rtol=0, atol=1e-5)


def test_images_it_was_not_fitted_to_are_moved_by_the_same_amounts(pixels, fitted):
    means, deviations = (getattr(pixels.float() / 255, name)((0, 2, 3)) for name in ("mean", "std"))
    other = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(1))
    by_hand = torch.stack([(other[:, c] - means[c]) / deviations[c] for c in range(3)], dim=1)
    torch.testing.assert_close(fitted(other), by_hand)


def test_until_it_is_fitted_nothing_is_changed(pixels):
    images = pixels.float() / 255
    assert torch.equal(Normalized(nn.Identity(), 3)(images), images)


@pytest.mark.parametrize("value", [0, 77, 255])
@pytest.mark.parametrize("nearly", [False, True])
def test_a_channel_that_hardly_varies_is_no_lever(pixels, value, nearly):
    pixels[:, 1] = value
    if nearly:
        pixels[0, 1, 0, 0] = abs(value - 40)
    model = Normalized(nn.Identity(), 3)
    model.fit(pixels, 0.01)
    seen = model(pixels.float() / 255)
    assert seen.isfinite().all()
    wide = (pixels[:, 2].double() / 255).std().item()
    assert model.deviation[0, 1].item() == pytest.approx(wide / 2)
    torch.testing.assert_close(seen[:, 2].std(), torch.tensor(1.0), rtol=0, atol=1e-5)


@pytest.mark.parametrize("epsilon", [1 / 255, 0.1, 1.0])
def test_images_that_hardly_vary_are_not_blown_up_beyond_epsilon(epsilon):
    model = Normalized(nn.Identity(), 2)
    model.fit(torch.full((1, 2, 1, 1), 7, dtype=torch.uint8), epsilon)
    assert model.deviation.flatten().tolist() == pytest.approx([epsilon, epsilon])


def test_it_is_said_which_channel_is_divided_by_more_than_its_deviation(configure, pixels):
    images = Images(pixels.numpy(), np.zeros(50, np.int64), ("a", "b", "c"))
    first, second = normalized_remarks(configure(normalization="data"), images)
    assert first == ("channel 1 of 3 varies by 0.0194, less than epsilon, and is divided by 0.1000")
    assert second.startswith("channel 2 of 3 varies by 0.07")
    assert normalized_remarks(configure(normalization="none"), images) == ()
    few = configure(normalization="data", eval_epsilon=0.01)
    assert normalized_remarks(few, images) == ()
    by_torch = (pixels.double() / 255).std((0, 2, 3), correction=0)
    assert images.deviations() == pytest.approx(by_torch.tolist())


def test_a_constant_channel_leaves_robust_accuracy_what_it_was(configure):
    part = digits("train")
    flat = np.full_like(part.images, 100)
    both = Images(np.concatenate([part.images, flat], 1), part.labels, part.classes)
    config = configure(
        width=8, epochs=5, lr=0.1, batch_size=64, averaging_decay=0.95, normalization="data"
    )
    data = split(both, valid=100, train=600, seed=0)
    *_, last = RegMixTrainer(config, data, torch.device("cpu")).epochs()
    assert last.valid_robust > 0.4  # with the floor of before: 0.0


def test_its_numbers_travel_with_the_weights_and_are_not_trained(pixels, tmp_path):
    model = Normalized(small_cnn(3, 10, width=2), 3).eval()
    model.fit(pixels, 0.01)
    assert {"mean", "deviation"} <= model.state_dict().keys()
    assert not {"mean", "deviation"} & dict(model.named_parameters()).keys()
    checkpoint.save_weights(model.state_dict(), tmp_path / "weights.safetensors")
    other = Normalized(small_cnn(3, 10, width=2), 3).eval()
    other.load_state_dict(checkpoint.load_weights(tmp_path / "weights.safetensors"))
    images = pixels.float() / 255
    assert torch.equal(other(images), model(images))


def test_none_builds_the_bare_network_and_data_wraps_the_same_weights(configure):
    bare, wrapped = (build_model(configure(normalization=n), 1, 3) for n in ("none", "data"))
    assert not any(isinstance(module, Normalized) for module in bare.modules())
    assert isinstance(wrapped, Normalized)
    torch.testing.assert_close(wrapped.network.state_dict(), bare.state_dict(), rtol=0, atol=0)


def test_a_trainer_takes_the_numbers_of_its_training_images(build, tiny_split):
    model = build(normalization="data").model
    given = torch.from_numpy(tiny_split.train.images).float() / 255
    torch.testing.assert_close(model.mean, given.mean().view(1, 1, 1, 1))
    torch.testing.assert_close(model.deviation, given.std().view(1, 1, 1, 1))
    held_out = torch.from_numpy(tiny_split.valid.images).float() / 255
    assert (held_out.mean() - given.mean()).abs() > 1e-4  # else the two sets can't be told apart


def test_the_radius_of_training_is_one_of_pixels(build, seen):
    trainer = build(normalization="data", initialization="zero", epochs=2)
    list(trainer.epochs())
    assert trainer.model.deviation.item() < 0.5  # a radius behind it would be another
    for call in seen:
        attacked = call.images + call.attacked.perturbation
        assert 0 <= call.images.min() < call.images.max() <= 1
        assert -1e-6 <= attacked.min() < attacked.max() <= 1 + 1e-6
        inside = (call.images > 0.1) & (call.images < 0.9) & (call.attacked.gradient != 0)
        reached = call.attacked.perturbation[inside].abs()
        torch.testing.assert_close(reached, torch.full_like(reached, 0.1))


def test_training_leaves_its_numbers_alone_and_the_average_has_the_same(build):
    trainer = build(normalization="data", averaging_decay=0.9, weight_decay=0.01, lr=0.2)
    before = {name: copy.deepcopy(getattr(trainer.model, name)) for name in ("mean", "deviation")}
    list(trainer.epochs())
    for model in (trainer.model, trainer.average.model):
        assert torch.equal(model.mean, before["mean"])
        assert torch.equal(model.deviation, before["deviation"])


def test_weights_alone_rebuild_the_evaluated_model(build, configure):
    trainer = build(normalization="data")
    list(trainer.epochs())
    model = build_model(configure(normalization="data", seed=9), 1, 3).eval()
    model.load_state_dict(trainer.average.model.state_dict())
    images = trainer._validator.images
    assert torch.equal(model(images), trainer.average.model(images))
