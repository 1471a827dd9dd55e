"""What every loss promises, whatever it computes: walks the folder, so a new file is covered."""

from itertools import product
from typing import Annotated, Literal, get_args, get_origin

import pytest
import torch

from regmix import registry
from regmix.interfaces import LossInputs

LOSSES = registry.names("loss")


def choices(option):
    """An option's values that may change which outputs a loss uses."""
    if get_origin(option.annotation) is Literal:
        return get_args(option.annotation)
    return (0.0, option.default) if get_origin(option.annotation) is Annotated else ()


def settings():
    for name in LOSSES:
        options = registry.options("loss", name)
        for values in product(*map(choices, options.values())):
            yield name, dict(zip(options, values, strict=True))


EVERY = pytest.mark.parametrize(("name", "options"), tuple(settings()))
DEFAULT = pytest.mark.parametrize("name", LOSSES)


def defaults(name):
    return {key: option.default for key, option in registry.options("loss", name).items()}


def inputs(name, options) -> LossInputs:
    return registry.module("loss", name).inputs(**options)


def gradients(name, options, logits):
    """The loss, and its gradients to final, initial and clean; zeros where there is none."""
    *sides, target = logits
    sides = [side.clone().requires_grad_() for side in sides]
    loss = registry.find("loss", name)(*sides, target, **options)
    found = torch.autograd.grad(loss, sides, allow_unused=True)
    return loss, [
        torch.zeros_like(side) if one is None else one
        for side, one in zip(sides, found, strict=True)
    ]


@EVERY
def test_it_is_one_finite_number(name, options, logits):
    loss = registry.find("loss", name)(*logits, **options)
    assert loss.shape == ()
    assert loss.isfinite()


@EVERY
def test_one_output_is_fitted_and_an_unused_one_is_not_trained(name, options, logits):
    _, (final, initial, clean) = gradients(name, options, logits)
    used = inputs(name, options)
    assert final.any() or clean.any()  # a loss that fits the clean one may weigh the final by 0
    assert used.initial or not initial.any()
    assert used.clean or not clean.any()


@DEFAULT
def test_every_output_that_it_says_it_uses_is_trained(name, logits):
    _, (final, initial, clean) = gradients(name, defaults(name), logits)
    used = inputs(name, defaults(name))
    assert final.any()
    assert initial.any() == used.initial
    assert clean.any() == used.clean


@EVERY
def test_an_unused_output_has_no_say(name, options, logits):
    final, initial, clean, target = logits
    used, loss = inputs(name, options), registry.find("loss", name)
    other = loss(
        final,
        initial if used.initial else 3 * initial,
        clean if used.clean else None,
        target,
        **options,
    )
    torch.testing.assert_close(other, loss(*logits, **options), rtol=0, atol=0)


@EVERY
def test_a_batch_twice_over_has_the_same_loss(name, options, logits):
    loss = registry.find("loss", name)
    twice = loss(*(torch.cat([one, one]) for one in logits), **options)
    torch.testing.assert_close(twice, loss(*logits, **options))


@EVERY
def test_the_order_of_the_images_does_not_matter(name, options, logits):
    loss = registry.find("loss", name)
    turned = loss(*(one.flip(0) for one in logits), **options)
    torch.testing.assert_close(turned, loss(*logits, **options))


@DEFAULT
def test_saturated_logits_keep_it_and_its_gradients_finite(name, logits):
    *sides, target = logits
    wild = [(1e4 * side.sign()).float() for side in sides]
    loss, found = gradients(name, defaults(name), (*wild, target.float()))
    assert loss.isfinite()
    assert all(one.isfinite().all() for one in found)
