import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regmix.attacks.fgsm
import regmix.losses.plain
from regmix.data.digits import digits
from regmix.errors import NonFiniteError
from regmix.images import split
from regmix.training.trainer import RegMixTrainer, build_model
from tests.support.regmix.epochs import timeless

CPU = torch.device("cpu")


def same(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def weights(trainer):
    return {**trainer.model.state_dict(prefix="raw."), **trainer.average.model.state_dict()}


@pytest.fixture
def train(configure, tiny_split):
    """Runs a changed tiny configuration to its end."""

    def run(**changes):
        trainer = RegMixTrainer(configure(**changes), tiny_split, CPU)
        return trainer, timeless(trainer.epochs())

    return run


def test_epochs_are_counted_from_one_to_the_last(train):
    trainer, metrics = train(epochs=3)
    assert [epoch.epoch for epoch in metrics] == [1, 2, 3]
    assert list(trainer.epochs()) == []


def test_stopping_and_going_on_is_one_run(configure, tiny_split, train):
    whole, expected = train(loss="regmix", epochs=4)
    trainer = RegMixTrainer(configure(loss="regmix", epochs=4), tiny_split, CPU)
    first = timeless(trainer.epochs(until=1))
    assert [epoch.epoch for epoch in first] == [1]
    assert list(trainer.epochs(until=1)) == []
    assert first + timeless(trainer.epochs(until=3)) + timeless(trainer.epochs()) == expected
    same(weights(trainer), weights(whole))


def test_until_never_goes_beyond_the_end_nor_before_the_start(configure, tiny_split):
    trainer = RegMixTrainer(configure(epochs=2), tiny_split, CPU)
    assert list(trainer.epochs(until=0)) == []
    assert len(list(trainer.epochs(until=9))) == 2


def test_a_caller_that_stops_after_an_epoch_has_exactly_that_epoch(configure, tiny_split, train):
    one, _ = train(epochs=1)
    trainer = RegMixTrainer(configure(epochs=4), tiny_split, CPU)
    next(trainer.epochs())
    assert trainer.epoch == 1
    same(weights(trainer), weights(one))


def test_same_seed_twice_is_the_same_run_to_the_last_bit(train):
    changes = {"loss": "regmix", "augment": "crop_flip", "initialization": "history"}
    one, again = train(**changes, seed=1), train(**changes, seed=1)
    assert one[1] == again[1]
    same(weights(one[0]), weights(again[0]))


def test_another_seed_is_another_run(train):
    one, other = train(seed=1), train(seed=2)
    assert one[1] != other[1]
    name = "raw.0.weight"
    assert not torch.equal(weights(one[0])[name], weights(other[0])[name])


@pytest.mark.parametrize("initialization", ["history", "corner", "random", "zero"])
def test_the_worlds_random_numbers_are_neither_used_nor_moved(train, initialization):
    changes = {"initialization": initialization, "augment": "crop_flip", "loss": "regmix"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        before = torch.random.get_rng_state()
        _, metrics = train(**changes)
        assert torch.equal(torch.random.get_rng_state(), before)
        torch.manual_seed(12)
        assert train(**changes)[1] == metrics


def test_the_data_stays_as_it_was(tiny_split, train):
    before = tiny_split.train.fingerprint(), tiny_split.valid.fingerprint()
    train(loss="regmix", augment="crop_flip")
    assert (tiny_split.train.fingerprint(), tiny_split.valid.fingerprint()) == before


@pytest.mark.parametrize("loss", ["plain", "mse", "regmix"])
def test_metrics_are_shares_in_the_order_of_the_attacks_strength(train, loss):
    _, metrics = train(loss=loss, epochs=6, lr=0.2)
    for epoch in metrics:
        assert 0 <= epoch.valid_robust <= epoch.valid_pgd <= epoch.valid_clean <= 1
        assert 0 <= epoch.valid_fgsm <= epoch.valid_clean
        assert 0 <= epoch.train_final <= 1
        assert 0 <= epoch.train_initial <= 1
        assert math.isfinite(epoch.train_loss)


def test_low_precision_trains_to_nearly_the_same_loss(train):
    full, half = (train(loss="regmix", precision=p)[1][-1] for p in ("fp32", "bf16"))
    assert half != full
    assert half.train_loss == pytest.approx(full.train_loss, rel=0.1)


def test_learning_digits_gets_clearly_above_chance(configure):
    data = split(digits("train"), valid=200, train=500, seed=0)
    config = configure(
        loss="regmix", width=8, epochs=8, lr=0.2, batch_size=32, averaging_decay=0.95, alpha=1.0
    )
    *_, last = RegMixTrainer(config, data, CPU).epochs()
    assert last.valid_clean > 0.7
    assert last.valid_robust > 0.35  # chance is 0.1


def test_a_loss_of_nan_stops_before_the_update(configure, tiny_split, monkeypatch):
    before = []

    def plain(final, initial, clean, target):
        """The true loss twice, then NaN; it notes all weights before each update."""
        before.append(copy.deepcopy([list(trainer.model.parameters()), trainer.average.model]))
        return F.cross_entropy(final, target) * (math.nan if len(before) == 3 else 1)

    monkeypatch.setattr(regmix.losses.plain, "plain", plain)
    trainer = RegMixTrainer(configure(initialization="history"), tiny_split, CPU)
    with pytest.raises(NonFiniteError, match="loss is nan in epoch 1, step 3"):
        list(trainer.epochs())
    raw, average = before[-1]
    assert isinstance(average, nn.Module)
    same(list(trainer.model.parameters()), raw)
    same(trainer.average.model.state_dict(), average.state_dict())
    assert not torch.equal(before[0][0][0], raw[0])  # the two steps before it did update


def test_a_run_that_explodes_says_where_and_at_what_rate(configure, tiny_split):
    trainer = RegMixTrainer(configure(lr=1e30), tiny_split, CPU)
    with pytest.raises(NonFiniteError, match=r"in epoch \d, step \d.*lr 1e\+30"):
        list(trainer.epochs())


def test_weights_follow_from_the_seed_alone(configure, tiny_split):
    config = configure(seed=5)
    trainer = RegMixTrainer(config, tiny_split, CPU)
    same(build_model(config, 1, 3).state_dict(), trainer.model.state_dict())
