import copy
import io

import pytest
import torch

from regmix.training import checkpoint
from tests.support.regmix.epochs import timeless

RUNS = pytest.mark.parametrize(
    "changes",
    [
        {"loss": "regmix", "initialization": "history", "reset_interval": 3},
        {"loss": "mse", "initialization": "random", "augment": "crop_flip"},
        {"loss": "mart", "momentum_rule": "success", "augment": "crop_flip", "align_history": True},
        {"loss": "plain", "initialization": "corner", "schedule": "linear"},
        {"loss": "regmix", "gamma": 0, "precision": "bf16", "true_class_mass": 0.8},
    ],
    ids=lambda changes: changes["loss"] + "-" + changes.get("initialization", "bf16"),
)


def same(one, other):
    for name in ("model", "average"):
        torch.testing.assert_close(one[name], other[name], rtol=0, atol=0)
    assert (one["epoch"], one["average_updates"]) == (other["epoch"], other["average_updates"])
    for name in ("order", "noise"):
        assert torch.equal(one[name], other[name])
    torch.testing.assert_close(one["optimizer"], other["optimizer"], rtol=0, atol=0)
    torch.testing.assert_close(one["memory"] or {}, other["memory"] or {}, rtol=0, atol=0)


@RUNS
def test_a_run_resumed_from_a_checkpoint_is_the_uninterrupted_run_to_the_last_bit(build, changes):
    whole = build(epochs=5, **changes)
    expected = timeless(whole.epochs())

    stopped = build(epochs=5, **changes)
    metrics = timeless(stopped.epochs(until=2))
    content = bytes(checkpoint.pack(stopped.state_dict()))
    del stopped
    resumed = build(epochs=5, **changes)
    resumed.load_state_dict(checkpoint.unpack(content))
    metrics += timeless(resumed.epochs())

    assert metrics == expected
    same(resumed.state_dict(), whole.state_dict())


@RUNS
def test_a_state_handed_over_in_memory_serves_both_sides(build, changes):
    """The one that lent its state goes on too: nothing may be shared between them."""
    lender, borrower, whole = (build(epochs=5, **changes) for _ in range(3))
    list(lender.epochs(until=2))
    borrower.load_state_dict(lender.state_dict())
    ahead = timeless(lender.epochs())
    behind = timeless(borrower.epochs())
    assert ahead == behind == timeless(whole.epochs())[2:]
    same(borrower.state_dict(), whole.state_dict())
    same(lender.state_dict(), whole.state_dict())


@pytest.mark.parametrize("epoch", [0, 1, 2, 3, 4])
def test_a_checkpoint_before_a_reset_has_no_memory_and_one_between_has_codes(build, epoch):
    options = {"loss": "regmix", "initialization": "history", "reset_interval": 2, "epochs": 5}
    whole, stopped, resumed = (build(**options) for _ in range(3))
    expected = timeless(whole.epochs())
    list(stopped.epochs(until=epoch))
    content = bytes(checkpoint.pack(stopped.state_dict()))
    assert (checkpoint.unpack(content)["memory"] is None) == (epoch % 2 == 0)
    written = checkpoint.copied(stopped.state_dict())["memory"]
    if written is not None:
        assert written["perturbation"]["codes of fp16"].dtype == torch.uint8
    del stopped
    resumed.load_state_dict(checkpoint.unpack(content))
    assert timeless(resumed.epochs()) == expected[epoch:]
    same(resumed.state_dict(), whole.state_dict())


def test_the_best_weights_come_back_from_the_average_where_they_are_its_own(build):
    one, other = build(epochs=5), build(epochs=5)
    for _ in one.epochs():
        if one.monitor.best_epoch == one.epoch:
            break
    state = one.state_dict()
    assert state["monitor"]["best_weights"] is None
    other.load_state_dict(checkpoint.unpack(bytes(checkpoint.pack(state))))
    best = one.monitor.best_weights
    torch.testing.assert_close(other.monitor.best_weights, best, rtol=0, atol=0)
    for average in other.average.model.state_dict().values():
        average.zero_()
    torch.testing.assert_close(other.monitor.best_weights, best, rtol=0, atol=0)


def test_a_copy_of_a_state_is_not_changed_by_what_is_trained_after_it(build):
    trainer, other = build(epochs=5), build(epochs=5)
    list(trainer.epochs(until=1))
    kept = checkpoint.copied(trainer.state_dict())
    before = bytes(checkpoint.pack(trainer.state_dict()))
    ahead = timeless(trainer.epochs())
    buffer = io.BytesIO()
    checkpoint.dump(kept, buffer)
    assert buffer.getvalue() == before
    other.load_state_dict(checkpoint.unpack(before))
    assert timeless(other.epochs()) == ahead


def test_a_finished_run_stays_finished(build):
    done, again = build(epochs=5), build(epochs=5)
    list(done.epochs())
    again.load_state_dict(done.state_dict())
    assert list(again.epochs()) == []


def test_a_state_taken_at_the_start_leads_to_the_same_run(build):
    fresh, other = build(epochs=5, seed=1), build(epochs=5, seed=1)
    state = copy.deepcopy(fresh.state_dict())
    list(other.epochs(until=2))
    other.load_state_dict(state)
    assert timeless(other.epochs()) == timeless(fresh.epochs())


def test_the_comparison_sees_a_forgotten_part(build):
    # the negative control: a resume that lost a generator gives another run
    whole, stopped, resumed = (build(epochs=5, initialization="random") for _ in range(3))
    expected = timeless(whole.epochs())
    list(stopped.epochs(until=2))
    state = stopped.state_dict()
    resumed.load_state_dict({**state, "noise": resumed.state_dict()["noise"]})
    assert timeless(resumed.epochs()) != expected[2:]
