import copy

import pytest
import torch
from torch import nn

from regmix.training.averaging import Average
from regmix.training.layout import Layout


def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def train_step(model, seed):
    """Changes weights, running statistics and the counter of batches."""
    model.train()(torch.randn(8, 3, generator=torch.Generator().manual_seed(seed)))
    with torch.no_grad():
        for weight in model.parameters():
            weight += torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("decay", [0.0, 0.15, 0.9, 0.999])
def test_it_is_the_recurrence_with_a_growing_decay(decay):
    model = network()
    average = Average(Layout(model, flat=True), decay)
    expected = {k: v.double() for k, v in model.state_dict().items() if v.is_floating_point()}
    for step in range(12):
        train_step(model, step)
        average.update()
        d = min(decay, (step + 1) / (step + 10))
        for name, old in expected.items():
            expected[name] = d * old + (1 - d) * model.state_dict()[name].double()
    for name, value in expected.items():
        torch.testing.assert_close(average.model.state_dict()[name], value.float())
    assert "1.running_mean" in expected


def test_counters_are_copied():
    model = network()
    average = Average(Layout(model, flat=True), 0.9)
    for step in range(5):
        train_step(model, step)
        average.update()
    assert average.model.state_dict()["1.num_batches_tracked"] == 5


def test_without_decay_it_follows_the_model_exactly():
    model = network()
    average = Average(Layout(model, flat=True), 0.0)
    for step in range(3):
        train_step(model, step)
        average.update()
        torch.testing.assert_close(average.model.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_what_is_evaluated_is_in_eval_mode_and_has_no_gradient():
    model = network().train()
    average = Average(Layout(model, flat=True), 0.9)
    train_step(model, 0)
    average.update()
    assert not any(module.training for module in average.model.modules())
    assert not any(weight.requires_grad for weight in average.model.parameters())
    assert model.training
    assert all(weight.requires_grad for weight in model.parameters())


def test_updating_leaves_the_model_as_it_was():
    model = network()
    average = Average(Layout(model, flat=True), 0.9)
    train_step(model, 0)
    before = copy.deepcopy(model.state_dict())
    average.update()
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)


def test_training_on_does_not_move_it():
    model = network()
    average = Average(Layout(model, flat=True), 0.0)
    before = copy.deepcopy(average.model.state_dict())
    train_step(model, 0)
    torch.testing.assert_close(average.model.state_dict(), before, rtol=0, atol=0)


def decays(average, counts):
    """The decay of each update, read off a single weight that goes from 0 towards 1."""
    for correct in counts:
        average.model.weight.zero_()
        average.update(torch.tensor(correct))
        yield 1 - average.model.weight.item()


def one_weight(decay, *rule):
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    return Average(Layout(model, flat=False), decay, *rule)


def test_a_constant_decay_is_the_same_from_the_first_update_on():
    average = one_weight(0.75, "constant")
    assert list(decays(average, [(4, 4)] * 3)) == pytest.approx([0.75] * 3)


def test_a_growing_decay_does_not_ask_how_strong_the_attack_was():
    one, other = (list(decays(one_weight(0.2), [correct] * 5)) for correct in ((4, 0), (0, 4)))
    assert one == other == pytest.approx([1 / 10, 2 / 11, 0.2, 0.2, 0.2])


def test_by_pgk_a_batch_counts_less_where_its_attack_was_weak():
    average = one_weight(0.2, "pgk", 0.8)
    average.updates = 90  # the growth ends at 91 / 100
    # strong; 0.75 is strong; at the threshold 0.99999, which the growth cuts; none correct at first
    counts = [(8, 0), (8, 6), (10, 8), (0, 0), (0, 1)]
    assert list(decays(average, counts)) == pytest.approx([0.2, 0.2, 93 / 102, 0.2, 95 / 104])


def test_by_pgk_a_weak_batch_late_in_training_moves_nothing():
    average = one_weight(0.999, "pgk", 0.8)
    average.updates = 10**7
    found = list(decays(average, [(10, 8), (10, 9), (10, 7)]))
    assert found == pytest.approx([0.99999, 0.999999, 0.999], abs=2e-7)
