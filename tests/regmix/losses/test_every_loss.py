"""What every loss promises, whatever it computes: walks the folder, so a new file is covered."""

from itertools import product
from typing import Annotated, Literal, get_args, get_origin

import pytest
import torch

from regmix import registry
from regmix.interfaces import LossInputs
from tests.support.regmix.table import check_each
from tests.support.regmix.variants import defaults

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


DEFAULT = pytest.mark.parametrize("name", LOSSES)


def inputs(name, options) -> LossInputs:
    return registry.module("loss", name).inputs(**options)


def gradients(name, options, logits):
    """The loss, and its gradients to final, initial and clean; zeros where there is none."""
    *sides, target = logits
    sides = [side.clone().requires_grad_() for side in sides]
    loss = registry.find("loss", name, options)(*sides, target)
    found = torch.autograd.grad(loss, sides, allow_unused=True)
    return loss, [
        torch.zeros_like(side) if one is None else one
        for side, one in zip(sides, found, strict=True)
    ]


def test_it_is_one_finite_number(logits):
    def check(name, options):
        loss = registry.find("loss", name, options)(*logits)
        assert loss.shape == ()
        assert loss.isfinite()

    check_each(check, settings())


def test_one_output_is_fitted_and_an_unused_one_is_not_trained(logits):
    def check(name, options):
        _, (final, initial, clean) = gradients(name, options, logits)
        used = inputs(name, options)
        assert final.any() or clean.any()  # a loss that fits the clean one may weigh the final by 0
        assert used.initial or not initial.any()
        assert used.clean or not clean.any()

    check_each(check, settings())


@DEFAULT
def test_every_output_that_it_says_it_uses_is_trained(name, logits):
    _, (final, initial, clean) = gradients(name, defaults("loss", name), logits)
    used = inputs(name, defaults("loss", name))
    assert final.any()
    assert initial.any() == used.initial
    assert clean.any() == used.clean


def test_an_unused_output_has_no_say(logits):
    def check(name, options):
        final, initial, clean, target = logits
        used, loss = inputs(name, options), registry.find("loss", name, options)
        other = loss(
            final,
            initial if used.initial else 3 * initial,
            clean if used.clean else None,
            target,
        )
        torch.testing.assert_close(other, loss(*logits), rtol=0, atol=0)

    check_each(check, settings())


def test_a_batch_twice_over_has_the_same_loss(logits):
    def check(name, options):
        loss = registry.find("loss", name, options)
        twice = loss(*(torch.cat([one, one]) for one in logits))
        torch.testing.assert_close(twice, loss(*logits))

    check_each(check, settings())


def test_the_order_of_the_images_does_not_matter(logits):
    def check(name, options):
        loss = registry.find("loss", name, options)
        turned = loss(*(one.flip(0) for one in logits))
        torch.testing.assert_close(turned, loss(*logits))

    check_each(check, settings())


@DEFAULT
def test_saturated_logits_keep_it_and_its_gradients_finite(name, logits):
    *sides, target = logits
    wild = [(1e4 * side.sign()).float() for side in sides]
    loss, found = gradients(name, defaults("loss", name), (*wild, target.float()))
    assert loss.isfinite()
    assert all(one.isfinite().all() for one in found)
