"""No training step waits for its device: of fake tensors nothing can be asked."""

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from regmix import registry
from regmix.engine import Engine

LATE = Engine(look_every=50)
CHANGES: list[Any] = [
    *({"loss": name} for name in registry.names("loss")),
    {"attack": "fgsm", "loss": "regmix"},
    {"attack": "n_fgsm", "loss": "regmix"},
    {"attack": "pgd", "loss": "regmix", "steps": 2},
    *({"averaging_rule": name} for name in ("growing", "constant", "pgk")),
    *({"momentum_rule": name} for name in ("norm", "sign", "success")),
    *({"initialization": name} for name in ("history", "corner", "random", "zero")),
    {"augment": "crop_flip"},
    {"augment": "crop_flip", "align_history": True, "momentum_rule": "success"},
    {"attack_mode": "eval", "loss": "regmix"},
    {"start_box": "clipped", "initialization": "random"},
    {"clip_norm": 0.1},
    {"normalization": "data"},
    {"precision": "bf16"},
    {"true_class_mass": 0.7, "momentum": 0.0, "weight_decay": 0.0},
]


def step_of_fakes(trainer):
    """Take a step in which every tensor has a shape and no content."""
    trainer.model.train()
    with FakeTensorMode(allow_non_fake_inputs=True):
        return trainer.train_batch(torch.arange(20))


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_a_step_never_waits(build, changes):
    assert step_of_fakes(build(**changes, engine=LATE)).shape == (3,)


def test_a_step_without_flat_buffers_never_waits_either(build):
    engine = Engine(look_every=50, flat=False, channels_last=False)
    assert step_of_fakes(build(loss="regmix", engine=engine)).shape == (3,)


def test_every_attack_is_tried():
    assert {changes.get("attack", "fgsm") for changes in CHANGES} == set(registry.names("attack"))


def test_what_waits_is_seen(build, monkeypatch):
    with pytest.raises(DataDependentOutputException):
        step_of_fakes(build(engine=Engine(look_every=1)))
    monkeypatch.setattr(
        "regmix.losses.plain.plain", lambda final, *_: final.mean() * final.max().item()
    )
    with pytest.raises(DataDependentOutputException):
        step_of_fakes(build(engine=LATE))
