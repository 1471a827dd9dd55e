"""Tensors in common buffers are the tensors that they were."""

import copy

import pytest
import torch
from torch import nn

from regmix.engine import Engine
from regmix.training.averaging import Average
from regmix.training.buffers import Buffers
from regmix.training.layout import Layout
from regmix.training.optimizer import MomentumSGD
from tests.support.regmix.epochs import timeless


def odd_tensors():
    last = torch.randn(3, 5, 2, 4).to(memory_format=torch.channels_last)
    gaps = torch.randn(6, 4)[::2]
    return [torch.randn(7), last, torch.tensor(2.5), gaps, torch.randn(3).double(), torch.empty(0)]


def test_values_strides_and_objects_stay():
    tensors = odd_tensors()
    before = [(tensor.clone(), tensor.stride()) for tensor in tensors]
    buffers = Buffers(tensors, flat=True)
    assert len(buffers.pieces) == 3  # fp32, the one with gaps, fp64
    for own, tensor, (value, stride) in zip(buffers.tensors, tensors, before, strict=True):
        assert own is tensor
        assert torch.equal(tensor, value)
        assert tensor.stride() == stride
    for piece in buffers.pieces:
        piece.mul_(2)
    for tensor, (value, _) in zip(tensors, before, strict=True):
        assert torch.equal(tensor, value * 2)


def test_tensors_begin_where_vector_units_like_it():
    tensors = odd_tensors()
    Buffers(tensors, flat=True)
    assert all(t.data_ptr() % 64 == tensors[0].data_ptr() % 64 for t in tensors[:3])


def test_a_twin_has_the_same_places():
    tensors = odd_tensors()[:3]
    one = Buffers(tensors, flat=True)
    other = one.like([tensor.clone() for tensor in tensors])
    assert [a.shape for a in one.pieces] == [b.shape for b in other.pieces]
    assert [a.stride() for a in one.tensors] == [b.stride() for b in other.tensors]
    for own, twin in zip(one.pieces, other.pieces, strict=True):
        assert torch.equal(own, twin)
        twin.zero_()
    assert all(not tensor.any() for tensor in other.tensors)
    assert tensors[0].any()


class Odd(nn.Module):
    """A frozen and an unused weight, a shared one, buffers of all kinds, one that is put anew."""

    calls: torch.Tensor

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.frozen = nn.Linear(192, 3).requires_grad_(False)
        self.unused = nn.Linear(2, 2)
        self.shared = nn.Linear(3, 3, bias=False)
        self.again = self.shared
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("wide", torch.ones(2, dtype=torch.float64))
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
        self.register_buffer("passing", torch.ones(1), persistent=False)

    def forward(self, images):
        if self.training:
            self.calls = self.calls + 1
        return self.again(self.shared(self.frozen(self.norm(self.convolution(images)).flatten(1))))


def moved(network, flat, steps=5):
    layout = Layout(network, flat=flat)
    average = Average(layout, 0.5)
    how = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}
    optimizer = MomentumSGD(network.parameters(), **how, buffers=layout.weights)
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        network.zero_grad()
        network.train()(torch.randn(4, 1, 8, 8, generator=generator)).square().sum().backward()
        if step == 2:
            network.convolution.bias.grad = None
        optimizer.step()
        average.update()
    return network.state_dict(), average.model.state_dict(), optimizer.state_dict()


def test_an_odd_network_is_moved_to_the_same_bits():
    torch.manual_seed(0)
    start = Odd()
    plain, flat = (moved(copy.deepcopy(start), flat) for flat in (False, True))
    torch.testing.assert_close(flat, plain, rtol=0, atol=0)
    weights, average, _ = flat
    assert torch.equal(weights["unused.weight"], start.unused.weight), "no gradient, no decay"
    assert torch.equal(weights["frozen.weight"], start.frozen.weight)
    assert weights["calls"] == 5
    assert 0 < average["calls"] < 5
    assert torch.equal(average["mask"], start.mask)
    assert average["norm.num_batches_tracked"] == 5
    assert not torch.equal(weights["shared.weight"], start.shared.weight)


def test_a_shared_weight_is_averaged_once():
    network = nn.Sequential(nn.Linear(2, 2, bias=False))
    network.append(network[0])
    nn.init.zeros_(network[0].weight)
    average = Average(Layout(network, flat=False), 0.75, "constant")
    nn.init.ones_(network[0].weight)
    average.update()
    assert torch.equal(average.model[1].weight, torch.full((2, 2), 0.25))


def test_a_network_with_two_names_for_one_memory_stays_as_it_is():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    network[1].weight.data = network[0].weight.data
    Layout(network, flat=True)
    network[0].weight.data[0, 0] = 9.0
    assert network[1].weight[0, 0] == 9.0


RUNS = [  # of 8 channels and more, see `build` in tests/regmix/models/test_models.py
    {"loss": "regmix", "clip_norm": 0.2},
    {"loss": "mart", "model": "resnet18", "width": 8, "weight_decay": 0.0},
    {"loss": "trades", "model": "preactresnet18", "width": 8, "attack_mode": "eval"},
    {"loss": "mse", "averaging_rule": "pgk", "averaging_threshold": 0.9, "normalization": "data"},
    {"loss": "dkl", "precision": "bf16", "momentum": 0.0},
]


def state(trainer):
    found = trainer.state_dict()
    return {name: found[name] for name in ("model", "average", "optimizer", "memory")}


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("changes", RUNS, ids=lambda changes: changes["loss"])
def test_flat_buffers_change_no_bit(build, changes, last):
    plain, flat = (
        build(**changes, engine=Engine(channels_last=last, flat=flat)) for flat in (False, True)
    )
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    for trainer in (plain, flat):
        trainer.model.train()
    for index in order.split(16):
        assert torch.equal(plain.train_batch(index), flat.train_batch(index))
    torch.testing.assert_close(state(flat), state(plain), rtol=0, atol=0)


@pytest.mark.parametrize("order", [(True, False), (False, True)])
def test_a_run_goes_on_in_buffers_or_out_of_them(build, order):
    engines = [Engine(flat=flat) for flat in order]
    whole, first, second = (build(loss="regmix", engine=e) for e in (engines[0], *engines))
    metrics = timeless(whole.epochs())
    list(first.epochs(until=2))
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    assert timeless(second.epochs()) == metrics[2:]
    torch.testing.assert_close(state(second), state(whole), rtol=0, atol=0)


def test_a_state_has_a_tensor_for_each_weight_in_any_layout(build):
    shapes = [
        {
            name: tensor.shape
            for kind in ("model", "average")
            for name, tensor in trainer.state_dict()[kind].items()
        }
        for trainer in (build(engine=Engine(flat=flat)) for flat in (True, False))
    ]
    assert shapes[0] == shapes[1]
    trainer = build()
    velocity = trainer.state_dict()["optimizer"]["velocity"]
    assert [v.shape for v in velocity] == [w.shape for w in trainer.model.parameters()]


def test_channels_last_is_another_rounding_and_nothing_else(build):
    one, other = (build(loss="regmix", engine=Engine(channels_last=c)) for c in (True, False))
    assert one.model[3].weight.stride()[1] == 1 != other.model[3].weight.stride()[1]
    assert torch.equal(one.model[3].weight, other.model[3].weight)
    batches = [trainer._source.draw(torch.arange(9))[0] for trainer in (one, other)]
    for mine, theirs in zip(*batches, strict=True):
        assert torch.equal(mine, theirs)
    for trainer in (one, other):
        trainer.model.train()
        trainer.train_batch(torch.arange(20))
    torch.testing.assert_close(one.model.state_dict(), other.model.state_dict())
