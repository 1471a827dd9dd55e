import sys

import pytest
import torch
from torch import nn

from regmix.autoattack import autoattack
from regmix.errors import InputError
from regmix.judge import judge


def attack(*given, epsilon):
    pytest.importorskip("pyautoattack")
    return autoattack(*given, epsilon=epsilon, seed=0, batch_size=50)


def test_without_the_package_the_remedy_is_told(linear, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    model, images, labels, _ = linear
    with pytest.raises(InputError, match="needs the package pyautoattack; install"):
        autoattack(model, images, labels, epsilon=0.1, seed=0, batch_size=50)


def test_on_a_linear_model_it_finds_the_closed_form(linear):
    model, images, labels, worst_margin = linear
    survived = attack(model, images[:20], labels[:20], epsilon=0.05)
    assert torch.equal(survived, worst_margin(0.05)[:20] > 0)
    assert 0 < survived.sum() < 20


def test_with_more_classes_no_weaker_attack_is_stronger():
    pytest.importorskip("pyautoattack")
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 4)).eval()
    for weight in model.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
    images = torch.rand(30, 1, 4, 4, generator=generator)
    labels = model(images).argmax(1)
    before = torch.random.get_rng_state()
    rows = dict(judge(model, images, labels, epsilon=0.05, seed=0, with_autoattack=True))
    assert list(rows)[-2:] == ["AutoAttack", "worst case"]
    assert 0 < rows["worst case"].hits <= rows["AutoAttack"].hits <= rows["PGD-50"].hits
    assert rows["clean"].hits > rows["AutoAttack"].hits
    assert torch.equal(torch.random.get_rng_state(), before)
