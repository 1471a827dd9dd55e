"""A captured step is the step: from the same tensors each time, with numbers of the device."""

import copy
import gc

import pytest
import torch

from regmix import registry
from regmix.engine import Engine
from regmix.errors import NonFiniteError
from regmix.training.capture import CapturedStep, on_card
from regmix.training.numbers import Number, Numbers
from regmix.training.step import TrainingStep
from regmix.training.trainee import Nursery
from regmix.training.trainer import RegMixTrainer
from tests.support.regmix.epochs import timeless

CPU = torch.device("cpu")
LATE = Engine(look_every=50)


def again(run):
    """Stands for a recording: what it does is done anew, from the tensors that it was given."""
    result = type(run())(*(tensor.clone() for tensor in run()))

    def replay():
        for own, new in zip(result, run(), strict=True):
            own.copy_(new)

    return replay, result


def captured(trainer, record):
    """Give a trainer a captured step."""
    step = trainer._update
    AVERAGES[:] = [trainer.average]
    parts = (step._layout, step._average, step._optimizer, step._soundness)
    numbers = Numbers(trainer.config, CPU)
    trainer._update = CapturedStep(step, TrainingStep(trainer.config, *parts, numbers), record)
    return trainer


def state(trainer):
    found = trainer.state_dict()
    return {name: found[name] for name in ("model", "average", "optimizer", "memory")}


def assert_the_same_run(one, other):
    assert timeless(one.epochs(until=2)) == timeless(other.epochs(until=2))
    torch.testing.assert_close(state(one), state(other), rtol=0, atol=0)


CHANGES = [
    *({"loss": name} for name in registry.names("loss")),
    {"loss": "regmix", "gamma": 0, "beta": 0.3, "attack": "n_fgsm", "initialization": "random"},
    {"loss": "regmix", "attack": "pgd", "steps": 2, "step_ratio": 0.7, "attack_mode": "eval"},
    {"averaging_rule": "pgk", "averaging_threshold": 0.9, "schedule": "cosine"},
    {"averaging_rule": "constant", "momentum": 0.0, "weight_decay": 0.0, "clip_norm": 0.3},
    {"augment": "crop_flip", "align_history": True, "momentum_rule": "success"},
    {"precision": "bf16", "normalization": "data", "epsilon_ratio": 1.3},
    {"epsilon_ratio": 0.0},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_from_static_tensors_a_run_is_the_same_to_the_bit(build, capsys, changes):
    whole = captured(build(**changes, engine=LATE), again)
    assert_the_same_run(whole, build(**changes))
    assert len(whole._update._programs) == 2, "one for batches of 20, one for the last of 8"
    assert capsys.readouterr().err == ""


def stale(run):
    """A recording that reads nothing anew."""
    result = run()
    return lambda: None, type(result)(*(tensor.clone() for tensor in result))


def impossible(run):
    run()
    raise RuntimeError("operation not permitted when stream is capturing\nand more")


AVERAGES = []  # of the trainer that is captured


def forgetful(run):
    """A recording that leaves the average out."""
    replay, result = again(run)
    average = AVERAGES[-1]

    def partly():
        kept = [piece.clone() for piece in average.layout.real]
        replay()
        for piece, before in zip(average.layout.real, kept, strict=True):
            piece.copy_(before)

    return partly, result


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (stale, "comes to other numbers"),
        (forgetful, "comes to other numbers"),
        (impossible, "can't be recorded (operation not permitted when stream is capturing)"),
    ],
)
def test_a_recording_that_is_not_the_step_is_told_once_and_not_used(build, capsys, record, told):
    changes = {"loss": "regmix", "initialization": "random"}
    assert_the_same_run(captured(build(**changes, engine=LATE), record), build(**changes))
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert line.endswith("it is launched piece by piece")


def test_a_loss_that_asks_for_a_value_is_not_captured(build, capsys, monkeypatch):
    def mse(final, initial, clean, target, *, mse_weight):
        return (final - initial).square().mean() * float(mse_weight)

    monkeypatch.setattr("regmix.losses.mse.mse", mse)
    assert_the_same_run(captured(build(loss="mse", engine=LATE), again), build(loss="mse"))
    assert "can't be asked for its value" in capsys.readouterr().err


def test_numbers_answer_what_decides_a_structure_and_nothing_else(configure):
    config = configure(loss="regmix", alpha=0.3, beta=0, attack="pgd", steps=3, step_ratio=0.7)
    numbers = Numbers(config, CPU)
    alpha = numbers.loss["alpha"]
    assert isinstance(alpha, Number) and alpha
    assert numbers.loss["beta"] == 0 and not numbers.loss["beta"]
    assert numbers.loss["reduction"] == "batchmean"
    assert numbers.attack["steps"] == 3
    assert type(alpha * torch.ones(2)) is torch.Tensor
    for ask in (float, int, Number.item, Number.tolist):
        with pytest.raises(TypeError):
            ask(alpha)
    given = torch.ones(2) * (numbers.attack["step_ratio"] * numbers.epsilon)
    assert torch.equal(given, torch.ones(2) * (0.7 * config.train_epsilon))
    assert dict(Numbers(config, None).loss) == dict(config.loss.options)


def test_a_fault_of_a_captured_step_is_told_as_any_other(build):
    trainer = captured(build(engine=LATE, epochs=2, initialization="random"), again)
    list(trainer.epochs(until=1))
    with torch.no_grad():
        trainer.model[0].weight.view(-1)[0] = torch.nan
    before = [piece.clone() for piece in trainer._optimizer.moved]
    with pytest.raises(NonFiniteError, match="loss is nan in epoch 2, step 1"):
        list(trainer.epochs())
    torch.testing.assert_close(trainer._optimizer.moved, before, rtol=0, atol=0)


@pytest.fixture
def recordings(monkeypatch):
    """Steps are recorded on a CPU too; the number of recordings so far."""
    made = []

    def counted(run):
        made.append(1)
        return again(run)

    monkeypatch.setattr("regmix.training.trainee.recorder", lambda *_: counted)
    monkeypatch.setattr("regmix.training.trainer.NURSERY", Nursery())
    return made


FIRST = {"loss": "regmix", "alpha": 2.0, "gamma": 0.5, "attack": "n_fgsm", "true_class_mass": 0.8}
OTHERS = {"lr": 0.03, "momentum": 0.5, "weight_decay": 1e-3, "averaging_decay": 0.5, "seed": 3,
          "alpha": 0.3, "step_ratio": 0.7, "epsilon_ratio": 1.3, "initialization": "random",
          "averaging_threshold": 0.6, "momentum_rule": "success"}  # fmt: skip


@pytest.mark.parametrize("rule", ["growing", "pgk"])
def test_the_next_trial_takes_over_what_was_captured(build, recordings, monkeypatch, rule):
    first = {**FIRST, "averaging_rule": rule}
    changes = [first, {**first, **OTHERS}, {**first, "seed": 5}]
    expected = []
    with monkeypatch.context() as eager:
        eager.setattr("regmix.training.trainee.recorder", lambda *_: None)
        for change in changes:
            trainer = build(**change)
            expected.append((timeless(trainer.epochs(until=2)), copy.deepcopy(state(trainer))))
    for change, (metrics, moved) in zip(changes, expected, strict=True):
        trainer = build(**change, engine=LATE)
        assert timeless(trainer.epochs(until=2)) == metrics
        torch.testing.assert_close(state(trainer), moved, rtol=0, atol=0)
        del trainer
        gc.collect()
    assert len(recordings) == 2, "batches of 20 and of 8, once for all three"


def test_a_trial_after_one_that_diverged_is_sound(build, recordings):
    one, other = build(**FIRST, engine=LATE), build(**FIRST, engine=LATE)
    expected = timeless(one.epochs(until=2))
    other.model.train()
    other.train_batch(torch.arange(20))
    with torch.no_grad():
        other.model[0].weight.fill_(torch.nan)
    other.train_batch(torch.arange(20))
    assert not other._soundness._sound
    del one, other
    gc.collect()
    assert timeless(build(**FIRST, engine=LATE).epochs(until=2)) == expected
    assert len(recordings) == 4, "the first one's two, the second one's two"


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": 0},
        {"reduction": "elementmean"},
        {"attack_mode": "eval"},
        {"momentum": 0.0},
        {"weight_decay": 0.0},
        {"clip_norm": 0.1},
        {"width": 3},
        {"precision": "bf16"},
        {"averaging_rule": "constant"},
        {"epsilon_ratio": 0.0},
    ],
    ids=str,
)
def test_another_structure_is_captured_anew(build, recordings, change):
    for changes in (FIRST, {**FIRST, **change}):
        trainer = build(**changes, engine=LATE)
        trainer.model.train()
        trainer.train_batch(torch.arange(20))
        del trainer
        gc.collect()
    assert len(recordings) == 2


def test_two_trainers_at_once_share_nothing(build, recordings):
    one, other = (build(**FIRST, seed=seed, engine=LATE) for seed in (1, 1))
    assert one.model is not other.model
    list(one.epochs(until=1))
    fresh = build(**FIRST, seed=1, engine=LATE)
    torch.testing.assert_close(state(other)["model"], state(fresh)["model"], rtol=0, atol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="a CUDA graph needs a card")
@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_on_a_card_a_captured_run_is_the_run_within_rounding(
    configure, tiny_split, capsys, precision
):
    card = torch.device("cuda")
    config = configure(loss="regmix", precision=precision, width=8, epochs=1)
    runs = [
        RegMixTrainer(config, tiny_split, card, Engine(graphs=graphs)) for graphs in (True, False)
    ]
    (one,), (other,) = (list(trainer.epochs()) for trainer in runs)
    assert isinstance(runs[0]._update, CapturedStep)
    assert runs[0]._update._record is on_card
    assert runs[0]._update._programs, capsys.readouterr().err
    assert one.train_loss == pytest.approx(other.train_loss, rel=0.05)
    for mine, theirs in zip(runs[0].model.parameters(), runs[1].model.parameters(), strict=True):
        assert (mine - theirs).norm() <= 0.1 * theirs.norm()
