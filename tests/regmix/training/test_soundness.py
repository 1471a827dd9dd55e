"""What is not finite is never learnt from, whenever it is looked at."""

import copy
import math
import re

import pytest
import torch
from torch.nn import functional as F

import regmix.attacks.fgsm
from regmix.engine import Engine
from regmix.errors import NonFiniteError
from tests.support.regmix.epochs import timeless

BAD = 5  # the step, from 1


def learnt(trainer):
    """All that a step may move."""
    state = trainer.state_dict()
    return copy.deepcopy(
        {name: state[name] for name in ("model", "average", "optimizer", "memory")}
    )


def until_told(trainer):
    """Train until something is not finite; the state before the bad step, and what was told."""
    before, step, train = [], [0], trainer.train_batch

    def noted(index):
        step[0] += 1
        if step[0] == BAD:
            before.append(learnt(trainer))
        return train(index)

    trainer.train_batch = noted
    with pytest.raises(NonFiniteError) as told:
        list(trainer.epochs())
    return before[0], str(told.value), step[0]


def plant(monkeypatch, fault):
    """Make the loss, or the attack's gradient, of the bad step and of none after it not finite."""
    calls = [0]

    def plain(final, initial, clean, target):
        calls[0] += 1
        worst = {"nan": math.nan, "inf": math.inf}.get(fault, 1) if calls[0] == BAD else 1
        return F.cross_entropy(final, target) * worst

    monkeypatch.setattr("regmix.losses.plain.plain", plain)
    attack = regmix.attacks.fgsm.fgsm

    def fgsm(*given, **options):
        found = attack(*given, **options)
        if fault == "attack" and calls[0] == BAD - 1:
            found = found._replace(gradient=found.gradient * math.nan)
        return found

    monkeypatch.setattr(regmix.attacks.fgsm, "fgsm", fgsm)


MEMORY = {"momentum_rule": "success", "augment": "crop_flip", "align_history": True}


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("fault", ["nan", "inf", "attack"])
@pytest.mark.parametrize("changes", [MEMORY, {"averaging_rule": "pgk", "momentum": 0.0}], ids=str)
def test_after_a_late_look_all_is_as_before_the_bad_step(build, monkeypatch, flat, fault, changes):
    plant(monkeypatch, fault)
    trainer = build(batch_size=10, **changes, engine=Engine(look_every=50, flat=flat))
    before, told, steps = until_told(trainer)
    assert steps == 5, "an epoch ends with a look"
    assert "epoch 1, step 5" in told
    torch.testing.assert_close(learnt(trainer), before, rtol=0, atol=0)


@pytest.mark.parametrize(("every", "begun"), [(1, 5), (2, 7), (3, 7), (4, 8), (50, 8)])
def test_a_late_look_names_the_step_that_an_early_one_names(build, monkeypatch, every, begun):
    plant(monkeypatch, "nan")
    trainer = build(batch_size=6, lr=0.25, engine=Engine(look_every=every))
    before, told, steps = until_told(trainer)
    assert steps == begun
    pattern = (
        r"loss is nan in epoch 1, step 5: largest logit [\d.]+ at the final perturbation, lr 0.25"
    )
    assert re.fullmatch(pattern, told)
    monkeypatch.undo()
    plant(monkeypatch, "nan")
    early = until_told(build(batch_size=6, lr=0.25, engine=Engine(look_every=1)))
    assert early[1] == told
    torch.testing.assert_close(early[0], before, rtol=0, atol=0)
    if every > 1:
        torch.testing.assert_close(learnt(trainer), before, rtol=0, atol=0)


@pytest.mark.parametrize("every", [2, 50])
@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "regmix", "clip_norm": 0.3, "schedule": "cosine"},
        {"loss": "mse", **MEMORY, "averaging_rule": "pgk", "averaging_threshold": 0.9},
        {"loss": "trades", "initialization": "random", "momentum": 0.0, "weight_decay": 0.0},
        {"loss": "dkl", "precision": "bf16", "normalization": "data"},
    ],
    ids=lambda changes: changes["loss"],
)
def test_a_run_that_is_looked_at_late_is_the_same_run(build, changes, every):
    early, late = (build(**changes, engine=Engine(look_every=n)) for n in (1, every))
    assert timeless(early.epochs()) == timeless(late.epochs())
    torch.testing.assert_close(learnt(late), learnt(early), rtol=0, atol=0)


def test_on_a_cpu_each_step_is_looked_at(build):
    assert not build()._soundness.late
