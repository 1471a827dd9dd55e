"""Training multiplies as its configuration says, judging in fp32."""

from typing import Any

import pytest
import torch

from regmix import device
from regmix.evaluation.validator import Validator

BACKENDS: Any = torch.backends
UNITS = (BACKENDS.cuda.matmul, BACKENDS.cudnn.conv, BACKENDS.cudnn.rnn)


def formats():
    return {unit.fp32_precision for unit in UNITS}


def tried():
    """Whether cuDNN looks for the fastest way of each new shape."""
    return torch.backends.cudnn.benchmark


@pytest.fixture(autouse=True)
def torchs_own():
    before = [unit.fp32_precision for unit in UNITS]
    yield
    for unit, value in zip(UNITS, before, strict=True):
        unit.fp32_precision = value


@pytest.mark.parametrize(
    ("precision", "trained"), [("fp32", "ieee"), ("tf32", "tf32"), ("bf16", "ieee")]
)
def test_fp32_is_multiplied_as_asked_and_judged_as_fp32(
    build, seen, monkeypatch, precision, trained
):
    training, judging = [], []
    for name in ("per_epoch", "overfitting_check", "final"):
        judge = getattr(Validator, name)

        def noted(self, model, *known, judge=judge):
            with torch.no_grad():
                judging.append((formats(), model(self.images[:2]).dtype, tried()))
            return judge(self, model, *known)

        monkeypatch.setattr(Validator, name, noted)
    trainer = build(precision=precision, epochs=2)
    draw = trainer._source.draw

    def drawn(index):
        training.append((formats(), tried()))
        return draw(index)

    monkeypatch.setattr(trainer._source, "draw", drawn)
    list(trainer.epochs())
    assert len(training) == 6 and all(found == ({trained}, True) for found in training)
    assert len(judging) == 5
    assert all(found == ({"ieee"}, torch.float32, False) for found in judging)


def test_after_an_error_fp32_is_fp32_again(build, monkeypatch):
    trainer = build(precision="tf32")
    monkeypatch.setattr(trainer._source, "draw", lambda index: [][0])
    with pytest.raises(IndexError):
        list(trainer.epochs())
    assert formats() == {"ieee"}


def test_whoever_asks_for_the_device_computes_in_fp32():
    device.fp32(tf32=True)
    assert formats() == {"tf32"}
    device.device()
    assert formats() == {"ieee"}


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_losses_and_attack_are_fp32_in_any_format(build, seen, monkeypatch, precision):
    kinds = []

    def regmix(final, initial, clean, target, **_):
        kinds.append({values.dtype for values in (final, initial, clean, target)})
        return final.square().mean() + initial.square().mean() + clean.square().mean()

    monkeypatch.setattr("regmix.losses.regmix.regmix", regmix)
    trainer = build(loss="regmix", precision=precision, epochs=1)
    products = []
    trainer.model[0].register_forward_hook(lambda *found: products.append(found[2].dtype))
    trainer.model.train()
    trainer.train_batch(torch.arange(20))
    assert kinds == [{torch.float32}]
    assert set(products) == {torch.bfloat16 if precision == "bf16" else torch.float32}
    (call,) = seen
    assert {values.dtype for values in call.attacked} == {torch.float32}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="TF32 is a format of a card's")
def test_on_a_card_tf32_is_coarser_than_fp32():
    factors = torch.randn(
        2, 512, 512, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    expected = factors[0] @ factors[1]
    errors = []
    for tf32 in (True, False):
        device.fp32(tf32)
        one, other = factors.float().cuda()
        errors.append((one @ other).cpu().double().sub(expected).abs().max())
    device.fp32()
    assert errors[0] > 10 * errors[1]
