"""The optimiser against torch's class, to the bit, and what it is there for."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import regmix
from regmix.training.optimizer import MomentumSGD


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Linear(7, 3))


def train(model, optimizer, set_lr, steps):
    """Some steps with a falling rate; one layer is without gradient in every third of them."""
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        set_lr(0.3 / (step + 1))
        model.zero_grad(set_to_none=True)
        model(torch.randn(16, 5, generator=generator)).square().mean().backward()
        if step % 3 == 2:
            model[0].weight.grad = None
        optimizer.step()
    return [weight.detach() for weight in model.parameters()]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("weight_decay", [0.0, 5e-3])
def test_it_moves_weights_as_torchs_class_does_to_the_bit(momentum, weight_decay):
    options = {"lr": 0.3, "momentum": momentum, "weight_decay": weight_decay}
    ours, theirs = network(), network()
    optimizer = MomentumSGD(ours.parameters(), **options)
    reference = torch.optim.SGD(theirs.parameters(), **options)
    found = train(ours, optimizer, lambda lr: setattr(optimizer, "lr", lr), steps=8)
    expected = train(theirs, reference, lambda lr: reference.param_groups[0].update(lr=lr), steps=8)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert any((a != b).any() for a, b in zip(found, network().parameters(), strict=True))


def test_a_state_is_copied_and_goes_on_as_if_it_had_never_stopped():
    options = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.0}
    one = network()
    before = MomentumSGD(one.parameters(), **options)
    train(one, before, lambda lr: None, steps=2)
    other = network()
    other.load_state_dict(one.state_dict())
    after = MomentumSGD(other.parameters(), **options)
    after.load_state_dict(before.state_dict())
    for model, optimizer in ((one, before), (other, after)):
        train(model, optimizer, lambda lr: None, steps=2)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.process
def test_training_never_loads_torchs_compiler():
    program = (
        "import sys, torch\n"
        "from regmix.config import TrainConfig\n"
        "from regmix.data.digits import digits\n"
        "from regmix.training.trainer import RegMixTrainer\n"
        "config = TrainConfig.from_flat({'data': 'digits', 'model': 'small_cnn', 'width': 2,"
        " 'attack': 'fgsm', 'loss': 'regmix', 'epochs': 1, 'train_images': 40,"
        " 'valid_images': 20, 'clip_norm': 1})\n"
        "trainer = RegMixTrainer(config, config.split(digits('train')), torch.device('cpu'))\n"
        "assert [metrics.epoch for metrics in trainer.epochs()] == [1]\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    root = Path(regmix.__file__).parents[1]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True)
