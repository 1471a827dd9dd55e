import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from regmix.losses._divergence import kl


def test_known_answer():
    quarters, halves = torch.tensor([[0.25, 0.75]]).log(), torch.zeros(1, 2)
    assert kl(quarters.double(), halves.double()).item() == pytest.approx(0.130812035941137)


def test_it_is_the_mean_over_images_of_the_definition(logits):
    first, second, *_ = logits
    p, q = first.softmax(1), second.softmax(1)
    by_hand = [
        sum(a * (math.log(a) - math.log(b)) for a, b in zip(*r, strict=True))
        for r in zip(p.tolist(), q.tolist(), strict=True)
    ]
    assert kl(first, second).item() == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-12)


def test_elementmean_is_smaller_by_the_number_of_classes(logits):
    first, second, *_ = logits
    torch.testing.assert_close(
        kl(first, second, "batchmean"), kl(first, second, "elementmean") * first.shape[1]
    )


def test_both_directions_add_up_to_jeffreys_divergence(logits):
    first, second, *_ = logits
    p, q = first.softmax(1), second.softmax(1)
    jeffreys = ((p - q) * (p.log() - q.log())).sum(1).mean()
    torch.testing.assert_close(kl(first, second) + kl(second, first), jeffreys)


def test_the_two_directions_differ(logits):
    first, second, *_ = logits
    assert abs(kl(first, second) - kl(second, first)) > 1e-3


@pytest.mark.parametrize("size", [1e-1, 1e-2, 1e-3])
def test_a_small_step_costs_half_its_variance(logits, size):
    start, direction, *_ = logits
    p = start.softmax(1)
    mean = (p * direction).sum(1, keepdim=True)
    variance = (p * (direction - mean).square()).sum(1).mean()
    ratio = kl(start, start + size * direction) / (size**2 / 2 * variance)
    assert abs(ratio - 1) < size  # the next term of the series is of order size


def test_near_uniform_it_is_half_the_mean_squared_gap(logits):
    first, second = (0.001 * (z - z.mean(1, keepdim=True)) for z in logits[:2])
    assert kl(first, second) / (F.mse_loss(first, second) / 2) == pytest.approx(1, abs=1e-2)


@given(
    shift=st.floats(-50, 50),
    values=st.lists(st.floats(-20, 20), min_size=6, max_size=6),
)
def test_it_is_at_least_zero_and_blind_to_a_shift_of_all_logits(shift, values):
    first, second = torch.tensor(values, dtype=torch.float64).view(2, 1, 3)
    divergence = kl(first, second)
    assert divergence >= -1e-12
    torch.testing.assert_close(kl(first + shift, second), divergence, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(kl(first, second + shift), divergence, rtol=1e-9, atol=1e-12)
    assert abs(kl(first, first + shift)) < 1e-12


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_saturated_logits_give_the_exact_divergence_and_finite_gradients(kind):
    sure = torch.tensor([[1e4, -1e4]], dtype=kind, requires_grad=True)
    opposite = torch.tensor([[-1e4, 1e4]], dtype=kind, requires_grad=True)
    divergence = kl(sure, opposite)
    gradients = torch.autograd.grad(divergence, (sure, opposite))
    assert divergence.dtype == torch.float32
    assert divergence.item() == 2 * sure[0, 0].item()  # log p = 0 against log q = -2e4
    assert kl(sure, sure).item() == 0
    assert all(gradient.isfinite().all() for gradient in gradients)
    assert gradients[1].float().tolist() == [[-1.0, 1.0]]  # q - p


def test_low_precision_logits_are_widened_to_single_precision(logits):
    first, second = (z.bfloat16() for z in logits[:2])
    torch.testing.assert_close(kl(first, second), kl(first.float(), second.float()), rtol=0, atol=0)


def test_the_gradient_to_the_second_side_is_the_gap_of_the_probabilities(logits):
    first, second = logits[0], logits[1].requires_grad_()
    (gradient,) = torch.autograd.grad(kl(first, second), second)
    torch.testing.assert_close(gradient, (second.softmax(1) - first.softmax(1)) / len(first))


def decoupled(m, n, *, freeze_n):
    """The squared-gap half of Cui et al.'s decoupled divergence (NeurIPS 2024), per image."""

    def gaps(z):
        return z[:, :, None] - z[:, None, :]

    p = m.softmax(1).detach()
    weights = p[:, :, None] * p[:, None, :]
    other = gaps(n.detach() if freeze_n else n)
    squares = (weights * (gaps(m) - other).square()).sum() / 4
    return (squares - (p * n.log_softmax(1)).sum()) / len(m)


def test_its_gradients_are_those_of_the_decoupled_form(logits):
    sides = [z.requires_grad_() for z in logits[:2]]
    ours = torch.autograd.grad(kl(*sides), sides)
    theirs = torch.autograd.grad(decoupled(*sides, freeze_n=True), sides)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-14)


def test_the_decoupled_form_needs_its_frozen_side(logits):
    # the negative control: were the comparison blind, this would agree too
    sides = [z.requires_grad_() for z in logits[:2]]
    ours = torch.autograd.grad(kl(*sides), sides)
    theirs = torch.autograd.grad(decoupled(*sides, freeze_n=False), sides)
    torch.testing.assert_close(ours[0], theirs[0])
    assert (ours[1] - theirs[1]).abs().max() > 0.01
