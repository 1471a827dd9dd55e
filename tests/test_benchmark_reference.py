"""The plain implementation trains the same networks as the engine, from the same start."""

from typing import Any

import pytest
import torch

from benchmarks.measures.cases import DIGITS, LOSSES, SMALL, random_images
from benchmarks.reference import PlainTraining
from regmix.images import Split
from regmix.training.trainer import RegMixTrainer

CPU = torch.device("cpu")


def pair(case, loss, count=96, **changes):
    """Both trainings of one configuration, with the same corners in their memories."""
    config, data = case.config(loss, lr=0.05, epochs=9, **changes), random_images(case.shape, count)
    ours = RegMixTrainer(config, Split(data, data), CPU)
    plain = PlainTraining(config, data, CPU)
    plain.reset_memory(torch.Generator().manual_seed(3))
    memory = {"perturbation": plain.perturbation.half(), "momentum": plain.momentum.half()}
    ours.load_state_dict({**ours.state_dict(), "epoch": 1, "memory": memory})
    return ours, plain


def gap(one, other):
    """The largest difference of two networks' weights and running statistics."""
    values = other.state_dict()
    return max(float((v - values[k]).abs().max()) for k, v in one.state_dict().items())


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_counts_and_weights_are_those_of_the_engine(loss):
    ours, plain = pair(DIGITS, loss, true_class_mass=0.9)
    first = {k: v.clone() for k, v in plain.model.state_dict().items()}
    for index in torch.arange(96).split(32) * 2:
        total, initial, final = ours.train_batch(index).tolist()
        found = plain.step(index)
        assert found[0] == pytest.approx(total / len(index), rel=1e-4)
        assert found[1:] == (initial, final)
        # the engine keeps both in 16 bits, which moves a step's start by up to 1e-4
        plain.perturbation, plain.momentum = (
            memory.half().float() for memory in (plain.perturbation, plain.momentum)
        )
    assert gap(ours.model, plain.model) < 1e-4
    assert gap(ours.average.model, plain.average) < 1e-4
    memory = ours.state_dict()["memory"]["perturbation"].float()
    assert float((memory - plain.perturbation).abs().max()) < 1e-3
    moved = max(float((v - first[k]).abs().max()) for k, v in plain.model.state_dict().items())
    assert moved > 1e-2, "networks that stand still would be equal too"


def test_images_with_colours_and_bf16_train_too():
    plain = PlainTraining(
        SMALL.config("regmix", precision="bf16"), random_images((3, 8, 8), 8), CPU
    )
    losses = [plain.step(torch.arange(8))[0] for _ in range(2)]
    assert losses[0] != losses[1]
    assert next(plain.model.parameters()).dtype == torch.float32


def test_the_precision_of_a_card_is_asked_for():
    data, formats = random_images((1, 8, 8), 8), []
    backends: Any = torch.backends
    for precision in ("tf32", "fp32"):
        training = PlainTraining(DIGITS.config("wamr", precision=precision), data, CPU)
        training.step(torch.arange(8))
        formats.append(backends.cudnn.conv.fp32_precision)
    assert formats == ["tf32", "ieee"]
