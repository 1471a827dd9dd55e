"""Training on a card that is not there: no step mixes devices, and none waits for the card.

For torch's CUDA build, see `fake_cuda.sh`. A fake tensor has a device and a shape, and no content:
an operation on tensors of two devices raises an error, and so does a question for a number. What
asks for the card itself is replaced: backward passes by zeros of the right shape and device, the
card's random numbers by the CPU's.
"""

import numpy as np
import pytest
import torch
import torch.distributed.tensor  # which annotates by `torch.Generator`, before it is replaced
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorDeviceMismatchError,
    FakeTensorMode,
)

from regmix.config import TrainConfig
from regmix.engine import Engine
from regmix.evaluation.judged_network import JudgedNetwork
from regmix.images import Images, Split
from regmix.training.trainer import RegMixTrainer, build_model
from tests.regmix.conftest import TINY
from tests.regmix.training.test_never_waits import CHANGES

CARD = torch.device("cuda", 0)
KEPT = []  # what frees fake tensors of a card may crash
UNPACKED = Engine(flat=False)  # a fake tensor can't be moved into a buffer


@pytest.fixture(autouse=True)
def no_card_is_asked(monkeypatch):
    def grad(_, inputs, **__):
        return tuple(map(torch.zeros_like, inputs if isinstance(inputs, list) else [inputs]))

    def backward(_, inputs, **__):
        for weight in inputs:
            weight.grad = torch.zeros_like(weight)

    generator = torch.Generator
    monkeypatch.setattr(torch, "Generator", lambda *_: generator())

    def built(*given):  # a module of fake tensors can't be moved, so it is made on the card
        with CARD:
            return build_model(*given)

    monkeypatch.setattr("regmix.training.trainer.build_model", built)
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *_, **__: module)
    # once a run, before its first step
    monkeypatch.setattr("regmix.training.trainer.constants", lambda _: {})
    monkeypatch.setattr("regmix.training.layout.constants", lambda _: {})
    monkeypatch.setattr("regmix.normalization.Normalized.fit", lambda *_: None)
    monkeypatch.setattr(torch.autograd, "grad", grad)
    monkeypatch.setattr(torch.autograd, "backward", backward)


def fake_trainer(changes):
    pixels = np.zeros((48, 3, 8, 8), np.uint8)
    images = Images(pixels, np.arange(48) % 3, ("a", "b", "c"))
    config = TrainConfig.from_flat({**TINY, **changes})
    KEPT.append(RegMixTrainer(config, Split(images, images), CARD, UNPACKED))
    return KEPT[-1]


def test_torch_is_a_build_for_cards():
    assert torch.version.cuda, "fake_cuda.sh installs one"


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_step_mixes_no_devices_and_waits_for_none(changes):
    with FakeTensorMode(allow_non_fake_inputs=True):
        trainer = fake_trainer(changes)
        trainer.model.train()
        sums = trainer.train_batch(torch.arange(20, device=CARD))
        if trainer._memory:
            trainer._memory.begin_epoch(0, trainer._source.noise)
    assert sums.device == CARD
    assert {tensor.device for tensor in trainer.model.state_dict().values()} == {CARD}


def test_an_epoch_waits_for_nothing_but_its_looks(monkeypatch):
    looks = []
    with FakeTensorMode(allow_non_fake_inputs=True):
        trainer = fake_trainer({"loss": "regmix", "batch_size": 2})
        monkeypatch.setattr(trainer._soundness, "look", lambda: looks.append(trainer._step))
        sums = trainer._train_epoch()
    assert sums.device == CARD
    assert looks == [24], "of 24 steps each epoch"


def test_a_judged_network_pads_its_images_on_the_card(monkeypatch):
    """An attack's masks have lengths that depend on data, so judging waits; it mixes nothing."""
    monkeypatch.setattr("regmix.evaluation.judged_network.finite", lambda values, _: values)
    with FakeTensorMode(allow_non_fake_inputs=True):
        network = JudgedNetwork(fake_trainer({}).model, UNPACKED)
        logits = network(torch.ones(37, 3, 8, 8, device=CARD))
    assert (logits.device, tuple(logits.shape)) == (CARD, (37, 3))


@pytest.mark.parametrize(
    ("plain", "error"),
    [
        (lambda final, *_: final + torch.ones(20, 3), FakeTensorDeviceMismatchError),
        (lambda final, *_: final.mean() * final.max().item(), DataDependentOutputException),
    ],
)
def test_what_mixes_devices_or_waits_is_seen(monkeypatch, plain, error):
    monkeypatch.setattr("regmix.losses.plain.plain", plain)
    with FakeTensorMode(allow_non_fake_inputs=True):
        trainer = fake_trainer({})
        trainer.model.train()
        with pytest.raises(Exception) as found:
            trainer.train_batch(torch.arange(20, device=CARD))
    assert isinstance(found.value, error)
