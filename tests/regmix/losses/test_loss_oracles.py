"""Every loss by finite differences, at its numerical edge, and as whole steps of the trainer."""

import copy
from itertools import product
from typing import Literal, get_args, get_origin

import pytest
import torch
from torch import nn
from torch.autograd.gradcheck import GradcheckError, gradcheck
from torch.nn import functional as F

from regmix import registry
from tests.support.regmix.table import check_each

LOSSES = registry.names("loss")


def variants():
    """Each loss with each combination of its named options, at its default weights."""
    for name in LOSSES:
        options = registry.options("loss", name)
        named = {k: get_args(o.annotation) for k, o in options.items() if is_literal(o)}
        defaults = {key: option.default for key, option in options.items()}
        for values in product(*named.values()):
            yield name, {**defaults, **dict(zip(named, values, strict=True))}


def is_literal(option):
    return get_origin(option.annotation) is Literal


def label(value):
    return value if isinstance(value, str) else "-".join(map(str, value.values()))


EVERY = pytest.mark.parametrize(("name", "options"), tuple(variants()), ids=label)
STOPPED = tuple((n, o) for n, o in variants() if n == "dkl" or "target" in o.values())


def held(function):
    """Keep what a stop-gradient returned at the first call: a constant, as the gradient sees it."""
    kept, detach = [], torch.Tensor.detach

    def call(*inputs):
        replay = iter(tuple(kept)) if kept else None

        def constant(tensor):
            if replay is not None:
                return next(replay)
            kept.append(detach(tensor).clone())  # cloned: gradcheck moves its inputs in place
            return kept[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, "detach", constant)
            return function(*inputs)

    return call


def of_logits(name, options, logits):
    *sides, target = logits
    loss = registry.find("loss", name, options)
    sides = [side.clone().requires_grad_() for side in sides]
    return (lambda *sides: loss(*sides, target)), sides


def of_weights(name, options, target):
    """The loss as a function of a smooth network's weights: the points it is asked at are given."""
    generator = torch.Generator().manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 4)
    )
    net = net.double().eval()
    for weight in net.parameters():
        weight.data.copy_(torch.randn(weight.shape, generator=generator))
    net[1].running_mean.copy_(torch.randn(2, generator=generator))
    net[1].running_var.copy_(0.5 + torch.rand(2, generator=generator))
    images, *moves = torch.rand(3, 5, 1, 4, 4, generator=generator, dtype=torch.float64)
    points = [images + moves[0], images - moves[1], images]  # far apart: every term counts
    names = [key for key, _ in net.named_parameters()]
    loss = registry.find("loss", name, options)

    def of(*weights):
        given = dict(zip(names, weights, strict=True))
        logits = [torch.func.functional_call(net, given, (point,)) for point in points]
        return loss(*logits, target)

    return of, list(net.parameters())


@EVERY
def test_finite_differences_agree_at_all_logits_at_once(name, options, logits):
    loss, sides = of_logits(name, options, logits)
    assert gradcheck(held(loss), sides)


@EVERY
def test_finite_differences_agree_at_the_weights_of_a_network(name, options, logits):
    loss, weights = of_weights(name, options, logits[3])
    found = torch.autograd.grad(loss(*weights), weights)
    assert all(one.abs().max() > 1e-3 for one in found)  # else there is nothing to agree on
    assert gradcheck(held(loss), weights)


@pytest.mark.parametrize(("name", "options"), STOPPED, ids=label)
def test_where_a_gradient_is_stopped_they_do_not_agree_unless_it_is_held(name, options, logits):
    # the negative control: the holding is what lets the checks above pass
    loss, sides = of_logits(name, options, logits)
    with pytest.raises(GradcheckError):
        gradcheck(loss, sides)


@EVERY
def test_at_every_corner_of_saturation_it_and_its_gradients_are_finite(name, options):
    loss = registry.find("loss", name, options)
    corners = torch.tensor(list(product((-1.0, 0.0, 1.0), repeat=3)))
    places = torch.cartesian_prod(*[torch.arange(len(corners))] * 2).T

    def check(kind, size, target):
        scaled = size * corners
        sides = [scaled[at].to(kind).requires_grad_() for at in (places[0], places[1], places[0])]
        given = (*sides, torch.tensor([target]).expand(len(places[0]), 3).to(kind))
        value = loss(*given)
        found = torch.autograd.grad(value, sides, materialize_grads=True)
        assert value.isfinite()
        assert all(one.isfinite().all() for one in found)

    kinds = [(torch.float32, 1e4), (torch.bfloat16, 1e4), (torch.bfloat16, 3e4)]
    targets = [(1.0, 0.0, 0.0), (0.1, 0.1, 0.8)]
    check_each(check, [(*kind, target) for kind, target in product(kinds, targets)])


EPSILON, CLASSES, EPOCHS, TAU = 0.125, 3, 3, 0.7  # 1/8 is exact in the memory's fp16


def textbook(model, images, labels, initialization, objective, seed):
    """FGSM training on full batches: with a memory FGSM-PGI (Jia et al., ECCV 2022), else RS or AT.

    Yields each step's loss and weight gradients, then takes a step of plain SGD at 0.1.
    """
    order, noise = (torch.Generator().manual_seed(seed) for _ in range(2))
    delta, momentum = torch.zeros_like(images), torch.zeros_like(images)
    if initialization == "history":
        delta = EPSILON * (2 * (torch.rand(images.shape, generator=noise) > 0.5).float() - 1)
    for _ in range(EPOCHS):
        at = torch.randperm(len(images), generator=order)
        x, y = images[at], torch.full((len(at), CLASSES), (1 - TAU) / (CLASSES - 1))
        y.scatter_(1, labels[at, None], TAU)
        if initialization == "random":
            delta[at] = torch.empty_like(x).uniform_(-EPSILON, EPSILON, generator=noise)
        start = delta[at].requires_grad_()
        initial = model(x + start)
        (g,) = torch.autograd.grad(-(y * initial.log_softmax(1)).sum() / len(y), start)
        end = (start.detach() + EPSILON * g.sign()).clamp(-EPSILON, EPSILON)
        if initialization == "history":
            m = g.numel() * g / g.norm(1) + 0.3 * momentum[at]
            moved = (start.detach() + EPSILON * m.sign()).clamp(-EPSILON, EPSILON)
            # rounded as ours are: else a sum that is zero but for rounding has either sign
            momentum[at], delta[at] = m.half().float(), ((x + moved).clamp(0, 1) - x).half().float()
        final, initial = model((x + end).clamp(0, 1)), model(x + start.detach())
        loss = objective(final, initial, model(x), y)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        yield loss.item(), gradients
        with torch.no_grad():
            for weight, gradient in zip(model.parameters(), gradients, strict=True):
                weight -= 0.1 * gradient


def fit(output, y):
    return -(y * output.log_softmax(1)).sum() / len(y)


def divergence(first, second):
    """KL(first || second), as TRADES's published code computes it."""
    return F.kl_div(second.log_softmax(1), first.softmax(1), reduction="sum") / len(first)


def fgsm_at(final, initial, clean, y):
    return fit(final, y)


def fgsm_pgi(final, initial, clean, y):
    return fit(final, y) + 10.0 * (final - initial).pow(2).sum() / final.numel()


def amr(final, initial, clean, y):
    return fit(final, y) + 4.0 * divergence(final, initial) + 1.5 * divergence(initial, final)


def amr_agr(final, initial, clean, y):
    return amr(final, initial, clean, y) + 2.5 * divergence(clean, final)


def trades(final, initial, clean, y):
    return fit(clean, y) + 6.0 * divergence(clean, final)


def trades_fitting_the_final(final, initial, clean, y):
    return fit(final, y) + 6.0 * divergence(clean, final)


NO_KL = {"loss": "regmix", "alpha": 0, "beta": 0, "gamma": 0}
CASES = {
    "FGSM-PGI without its penalty": (NO_KL, "history", fgsm_at),
    "FGSM-RS": (NO_KL, "random", fgsm_at),
    "FGSM-AT": (NO_KL, "zero", fgsm_at),
    "FGSM-PGI": ({"loss": "mse", "mse_weight": 10}, "history", fgsm_pgi),
    "AMR": ({**NO_KL, "alpha": 4, "beta": 1.5}, "history", amr),
    "AMR and AGR": ({**NO_KL, "alpha": 4, "beta": 1.5, "gamma": 2.5}, "history", amr_agr),
    "TRADES": ({"loss": "trades", "trades_weight": 6}, "zero", trades),
    "KL pairing": ({**NO_KL, "beta": 6}, "zero", trades_fitting_the_final),
    "KL pairing by the clean term": ({**NO_KL, "gamma": 6}, "random", trades_fitting_the_final),
}


def steps_of_ours(trainer):
    """Each epoch is one step: its loss, and the gradients that the optimiser was given."""
    gradients, step = [], trainer._optimizer.step

    def noted(sound):
        gradients.append([weight.grad.clone() for weight in trainer.model.parameters()])
        step(sound)

    trainer._optimizer.step = noted
    losses = [metrics.train_loss for metrics in trainer.epochs()]
    return zip(losses, gradients, strict=True)


@pytest.mark.parametrize(("loss", "start", "objective"), CASES.values(), ids=CASES.keys())
def test_steps_of_the_trainer_are_those_of_the_method_it_becomes(
    build, tiny_split, loss, start, objective
):
    """Loss and weight gradients of three steps; the memory has a say from the second one on."""
    task = {"eval_epsilon": EPSILON, "batch_size": 48, "epochs": EPOCHS, "true_class_mass": TAU}
    plain = {"momentum": 0.0, "weight_decay": 0.0, "lr": 0.1, "seed": 3}
    trainer = build(**task, **plain, **loss, initialization=start, width=4)
    images = torch.from_numpy(tiny_split.train.images).float() / 255
    labels = torch.from_numpy(tiny_split.train.labels)
    model = copy.deepcopy(trainer.model).train()
    theirs = textbook(model, images, labels, start, objective, seed=3)
    for (our_loss, ours), (their_loss, expected) in zip(
        steps_of_ours(trainer), theirs, strict=True
    ):
        assert our_loss == pytest.approx(their_loss, rel=1e-5)
        size = max(one.abs().max() for one in expected)
        torch.testing.assert_close(ours, list(expected), rtol=0, atol=1e-4 * size.item())
