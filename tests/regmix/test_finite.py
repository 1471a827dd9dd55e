"""NaN and infinity, planted wherever a number is made: never a class, never 'no sign'."""

import math

import pytest
import torch
from torch import nn

from pipeline.base import cli
from pipeline.execution.worker import failure
from regmix.errors import InputError, NonFiniteError
from regmix.evaluation.apgd_levels import evaluate_finalist, evaluate_trial
from regmix.evaluation.attack_settings import AttackSettings
from regmix.evaluation.autoattack import apgd, autoattack, square
from regmix.evaluation.final_evaluation import evaluate_test
from regmix.evaluation.masking import masking
from regmix.evaluation.pgd_ensemble import (
    Validation,
    correct,
    full_step,
    pgd,
    random_start,
    validate,
)
from regmix.evaluation.results import Masking
from regmix.models.small_cnn import small_cnn
from regmix.training import checkpoint
from regmix.training.trainer import RegMixTrainer
from tests.support.regmix.models import Around

SETTINGS = AttackSettings(0.1, 0)
BAD = (math.nan, math.inf, -math.inf)


def once_known(x, y):
    """What an earlier, sound pass found: every image is correct everywhere."""
    every = torch.ones_like(y, dtype=torch.bool)
    return Validation(every, every, every, every, 2, "falling")


EVALUATIONS = {
    "correct": lambda m, x, y, s: correct(m, x, y),
    "pgd": lambda m, x, y, s: pgd(m, x, y, s, epsilon=0.1, step=0.05, steps=2),
    "margin": lambda m, x, y, s: pgd(
        m, x, y, s, epsilon=0.1, step=0.05, steps=2, objective="margin"
    ),
    "full_step": lambda m, x, y, s: full_step(m, x, y, epsilon=0.1),
    "validate": lambda m, x, y, s: validate(m, x, y, s, epsilon=0.1, steps=2),
    "masking": lambda m, x, y, s: masking(m, x, y, s, once_known(x, y), SETTINGS),
    "apgd": lambda m, x, y, s: apgd(m, x, y, SETTINGS, steps=2),
    "apgd-t": lambda m, x, y, s: apgd(m, x, y, SETTINGS, steps=2, targets=3),
    "square": lambda m, x, y, s: square(m, x, y, SETTINGS, queries=3),
    "autoattack": lambda m, x, y, s: autoattack(m, x, y, SETTINGS),
    "trial": lambda m, x, y, s: evaluate_trial(m, x, y, s, once_known(x, y), SETTINGS),
    "finalist": lambda m, x, y, s: evaluate_finalist(m, x, y, s, once_known(x, y), SETTINGS),
    "test": lambda m, x, y, s: list(evaluate_test(m, x, y, SETTINGS)),
}


def poisoned(model, value):
    """The model with this value for one logit of one image of each batch: not that of class 0."""

    def poison(logits):
        place = torch.zeros_like(logits)
        place[-1, 3] = value
        return logits + place

    return Around(model, after=poison).eval()


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("name", EVALUATIONS)
def test_no_evaluation_takes_such_logits_for_an_answer(trained, digit_images, name, value):
    images, labels = (part[:6] for part in digit_images)
    start = random_start(images, 0.1, 0)
    with pytest.raises(NonFiniteError, match="NaN or infinite"):
        EVALUATIONS[name](poisoned(trained, value), images, labels, start)


class NoSlope(torch.autograd.Function):
    """The identity, with NaN for its gradient."""

    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.nan


@pytest.mark.parametrize("name", ["pgd", "margin", "full_step", "validate", "masking"])
def test_a_gradient_of_nan_is_no_direction(trained, digit_images, name):
    images, labels = (part[:6] for part in digit_images)
    model = Around(trained, before=NoSlope.apply).eval()
    labels = model(images).argmax(1)
    with pytest.raises(NonFiniteError, match="gradients"):
        EVALUATIONS[name](model, images, labels, torch.zeros_like(images))


@pytest.mark.parametrize("name", [name for name in Masking.__dataclass_fields__])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_sign_that_is_no_number_is_a_sign(name, value):
    sound = dict.fromkeys(Masking.__dataclass_fields__, 0.0)
    assert Masking(**sound).flags(100, 10) == ()
    assert len(Masking(**{**sound, name: value}).flags(100, 10)) == 1


PLACES = {
    "weight": lambda t: t.model[0].weight,
    "running mean": lambda t: t.model[1].running_mean,
    "averaged weight": lambda t: t.average.model[0].weight,
    "averaged variance": lambda t: t.average.model[1].running_var,
    "velocity": lambda t: t._optimizer._velocity[0],
    "perturbation": lambda t: t._memory.perturbation,
    "momentum of the memory": lambda t: t._memory.momentum,
}


@pytest.mark.parametrize("value", BAD)
@pytest.mark.parametrize("place", PLACES)
def test_a_run_in_which_it_is_planted_fails_as_diverged(build, place, value):
    trainer = build(epochs=4, reset_interval=9)
    list(trainer.epochs(until=1))
    with torch.no_grad():
        PLACES[place](trainer).view(-1)[0] = value
    if ("memory" in place or place == "perturbation") and math.isinf(value):
        list(trainer.epochs())  # a clamp makes it finite
        assert trainer._memory.finite()
        return
    with pytest.raises(NonFiniteError) as told:
        list(trainer.epochs())
    assert failure(told.value, "").reason.startswith("diverged: ")


@pytest.mark.parametrize("lr", [1e15, 1e20, 1e25, 1e30, 1e38])
@pytest.mark.parametrize("batches", [1, 2])
@pytest.mark.parametrize("loss", ["plain", "regmix"])
def test_a_run_that_overflows_in_its_last_step_fails_too(build, lr, batches, loss):
    """There is no next loss that would be NaN: only what it leaves behind says it."""
    trainer = build(epochs=1, lr=lr, batch_size=48 // batches, loss=loss)
    try:
        (metrics,) = trainer.epochs()
    except NonFiniteError as error:
        assert failure(error, "").kind == "diverged"
    else:  # large, but numbers: then they are numbers everywhere
        assert lr < 1e20
        assert math.isfinite(metrics.train_loss)
        for model in (trainer.model, trainer.average.model):
            assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())


def test_a_gradient_that_is_lost_is_found_before_the_update(build, monkeypatch):
    trainer = build(initialization="zero")
    attack = trainer._update._attack

    def lost(*given, **options):
        found = attack(*given, **options)
        return found._replace(gradient=found.gradient * math.nan)

    monkeypatch.setattr(trainer._update, "_attack", lost)
    before = trainer.model[0].weight.detach().clone()
    with pytest.raises(NonFiniteError, match="the attack is not finite in epoch 1, step 1"):
        list(trainer.epochs())
    assert torch.equal(trainer.model[0].weight, before)


class Masked(nn.Module):
    """A network with a mask of its own that is infinite by design."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.tensor([0.0, -math.inf]))
        self.network = small_cnn(1, 3, width=2)

    def forward(self, images):
        return self.network(images) + self.mask.softmax(0)[1]


def test_a_constant_that_is_infinite_by_design_is_none(configure, tiny_split, monkeypatch):
    monkeypatch.setattr("regmix.models.small_cnn.small_cnn", lambda *_, **__: Masked())
    *_, last = RegMixTrainer(configure(), tiny_split, torch.device("cpu")).epochs()
    assert last.epoch == 4


def rows_of(model):
    state = model.state_dict()
    first = state["0.weight"]
    holed, endless = first.clone(), state["1.running_var"].clone()
    holed.view(-1)[3], endless[1] = math.nan, math.inf
    yield {**state, "0.weight": holed}, "0.weight holds NaN or infinity, so the run has diverged"
    yield {**state, "1.running_var": endless}, "1.running_var holds NaN or infinity"
    yield {**state, "0.weight": first.round().long()}, "0.weight must be torch.float32 of shape"
    yield {**state, "0.weight": first.half()}, "but is torch.float16 of shape"
    yield {**state, "0.weight": first.double()}, "but is torch.float64 of shape"
    yield {**state, "0.weight": first[:1]}, "but is torch.float32 of shape (1, 1, 3, 3)"
    yield {**state, "extra": first.clone()}, "the network does not know the tensor extra"
    yield {k: v for k, v in state.items() if k != "1.bias"}, "also needs the tensor 1.bias"
    yield {k: torch.full_like(v, math.nan) if v.is_floating_point() else v
           for k, v in state.items()}, "holds NaN or infinity"  # fmt: skip


@pytest.mark.parametrize("case", range(9))
def test_weights_that_are_no_numbers_or_others_are_refused_by_name(tmp_path, case):
    model, path = small_cnn(1, 3, width=2), tmp_path / "weights.safetensors"
    state, said = list(rows_of(model))[case]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    checkpoint.save_weights(state, path)
    with pytest.raises(InputError) as told:
        checkpoint.load_into(model, path)
    assert str(told.value).startswith(f"{path}: the ") and said in str(told.value)
    for name, tensor in model.state_dict().items():  # nothing half loaded
        assert torch.equal(tensor, before[name])


def test_sound_weights_are_taken_as_they_are(tmp_path):
    model, other = (small_cnn(1, 3, width=2) for _ in range(2))
    checkpoint.save_weights(model.state_dict(), tmp_path / "weights.safetensors")
    checkpoint.load_into(other, tmp_path / "weights.safetensors")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


def test_a_command_says_so_in_one_line_and_fails(capsys):
    def main(words):
        raise NonFiniteError("logits are NaN or infinite")

    assert cli.run("evaluate", main) == 1
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == (
        "",
        ["evaluate: diverged: logits are NaN or infinite; no number would mean anything"],
    )


def test_a_tensor_under_two_names_is_saved_and_comes_back(tmp_path):
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, layer)
    checkpoint.save_weights(model.state_dict(), tmp_path / "weights.safetensors")
    again = nn.Linear(2, 2)
    checkpoint.load_into(nn.Sequential(again, again), tmp_path / "weights.safetensors")
    assert torch.equal(again.weight, layer.weight)
