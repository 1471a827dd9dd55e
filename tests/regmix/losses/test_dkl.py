"""The decoupled KL: the same gradient as KL's, split in two halves (Cui et al., NeurIPS 2024)."""

from functools import partial
from itertools import product

import pytest
import torch
from torch.nn import functional as F

from regmix.losses._divergence import kl
from regmix.losses.dkl import dkl, inputs
from regmix.losses.trades import trades

NONE = {"dkl_mse_weight": 0.0, "dkl_ce_weight": 0.0}
FLOWS = pytest.mark.parametrize("flow", ["clean", "both"])


def only(**weights):
    return partial(dkl, **{**NONE, **weights})


def pulled(final, clean, **options):
    """The loss without its fit."""
    even = torch.full_like(clean, 1 / clean.shape[1])
    return dkl(final, final, clean, even, **options) - F.cross_entropy(clean, even)


def squared_gaps(clean, final):
    """1/4 sum_jk p_j p_k (dc_jk - df_jk)^2, image by image and pair by pair."""
    total, classes = 0.0, range(clean.shape[1])
    for c, f in zip(clean, final, strict=True):
        p = c.softmax(0).detach()
        for j, k in product(classes, classes):
            total = total + p[j] * p[k] * ((c[j] - c[k]) - (f[j] - f[k])) ** 2 / 4
    return total / len(clean)


@pytest.mark.parametrize("weight", [1.0, 3.5])
def test_equal_weights_have_the_gradients_of_the_divergence(logits, weight):
    sides = [logits[0].requires_grad_(), logits[2].requires_grad_()]
    both = {"dkl_mse_weight": weight, "dkl_ce_weight": weight}
    ours = torch.autograd.grad(pulled(*sides, **both), sides)
    theirs = torch.autograd.grad(weight * kl(sides[1], sides[0]), sides)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_only_with_the_final_gaps_frozen(logits):
    # the negative control: were the comparison blind, this would agree too
    sides = [logits[0].requires_grad_(), logits[2].requires_grad_()]
    how = {"dkl_mse_weight": 1.0, "dkl_ce_weight": 1.0, "mse_flow": "both"}
    ours = torch.autograd.grad(pulled(*sides, **how), sides)
    theirs = torch.autograd.grad(kl(sides[1], sides[0]), sides)
    assert (ours[0] - theirs[0]).abs().max() > 0.01
    torch.testing.assert_close(ours[1], theirs[1], rtol=0, atol=1e-12)


def test_each_half_trains_its_own_side(logits):
    sides = [logits[0].requires_grad_(), logits[2].requires_grad_()]
    divergence = torch.autograd.grad(kl(sides[1], sides[0]), sides)
    for half, trained, other in (("dkl_mse_weight", 1, 0), ("dkl_ce_weight", 0, 1)):
        loss = pulled(*sides, **{**NONE, half: 1.0})
        found = torch.autograd.grad(loss, sides, materialize_grads=True)
        torch.testing.assert_close(found[trained], divergence[trained], rtol=0, atol=1e-12)
        assert found[other].abs().max() < 1e-12


@FLOWS
def test_the_closed_form_is_the_sum_over_pairs(logits, flow):
    final, _, clean, _ = logits
    ours = pulled(final, clean, dkl_mse_weight=2.5, dkl_ce_weight=0.0, mse_flow=flow)
    torch.testing.assert_close(ours, 2.5 * squared_gaps(clean, final), rtol=1e-12, atol=1e-14)


def test_where_both_are_trained_the_gradients_are_those_of_the_sum_over_pairs(logits):
    sides = [logits[0].requires_grad_(), logits[2].requires_grad_()]
    how = {"dkl_mse_weight": 2.5, "dkl_ce_weight": 0.0, "mse_flow": "both"}
    ours = torch.autograd.grad(pulled(*sides, **how), sides)
    theirs = torch.autograd.grad(2.5 * squared_gaps(sides[1], sides[0]), sides)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_the_other_half_is_a_cross_entropy_with_the_clean_output(logits):
    final, _, clean, _ = logits
    by_hand = -(clean.softmax(1) * final.log_softmax(1)).sum(1).mean()
    ours = pulled(final, clean, dkl_mse_weight=0.0, dkl_ce_weight=1.5)
    torch.testing.assert_close(ours, 1.5 * by_hand)


def test_without_weights_it_fits_the_clean_image_alone(logits):
    _, _, clean, target = logits
    by_hand = -(target * clean.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(only()(*logits), by_hand)


def test_through_one_network_the_gradient_is_that_of_trades(logits):
    generator = torch.Generator().manual_seed(1)
    x, step = torch.rand(2, 5, 7, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    clean, final = x @ weight.T, (x + 0.3 * step) @ weight.T
    given = (final, torch.zeros_like(final), clean, logits[3])
    (ours,) = torch.autograd.grad(dkl(*given), weight, retain_graph=True)
    (theirs,) = torch.autograd.grad(trades(*given), weight)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    assert ours.abs().max() > 0.1


@FLOWS
def test_it_is_larger_than_trades_by_gaps_and_entropy(logits, flow):
    final, _, clean, _ = logits
    p = clean.softmax(1)
    entropy = -(p * p.log()).sum(1).mean()
    more = dkl(*logits, mse_flow=flow) - trades(*logits)
    torch.testing.assert_close(more, 6.0 * (squared_gaps(clean, final) + entropy))


@pytest.mark.parametrize(("weight", "flow"), [(0.0, "clean"), (2.0, "both")])
def test_finite_differences_agree_at_the_final_output(logits, weight, flow):
    # what stops the gradient is constant here; `test_oracles_losses` holds it for the clean side
    final, initial, clean, target = logits
    loss = partial(dkl, dkl_mse_weight=weight, dkl_ce_weight=1.5, mse_flow=flow)
    assert torch.autograd.gradcheck(
        lambda one: loss(one, initial, clean, target), final.requires_grad_()
    )


@FLOWS
@pytest.mark.parametrize("place", [0, 2])
def test_a_shift_of_all_logits_of_an_image_changes_nothing(logits, flow, place):
    moved = [*logits]
    moved[place] = moved[place] + torch.arange(5.0)[:, None]
    loss = partial(dkl, mse_flow=flow)
    torch.testing.assert_close(loss(*moved), loss(*logits))


@FLOWS
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_saturated_logits_keep_it_and_its_gradients_finite(flow, kind):
    # every pair of signs of three logits: sure and right, sure and wrong, undecided
    corners = 1e4 * torch.tensor(list(product((-1.0, 0.0, 1.0), repeat=3))).to(kind)
    final = corners.repeat(27, 1).requires_grad_()
    clean = corners.repeat_interleave(27, 0).requires_grad_()
    target = torch.tensor([0.8, 0.1, 0.1]).expand(729, 3)
    loss = dkl(final, final, clean, target, mse_flow=flow)
    assert loss.dtype == torch.float32
    assert loss.isfinite()
    assert all(one.isfinite().all() for one in torch.autograd.grad(loss, (final, clean)))


def test_saturated_and_opposite_it_is_the_exact_number():
    sure, opposite = torch.tensor([[1e4, -1e4]]), torch.tensor([[-1e4, 1e4]])
    label = torch.tensor([[1.0, 0.0]])
    gaps, entropy = (
        only(**{name: 1.0})(opposite, opposite, sure, label)
        for name in ("dkl_mse_weight", "dkl_ce_weight")
    )
    assert gaps.item() == 0  # p is one class: no pair of two has a weight
    assert entropy.item() == 2e4


def test_the_gaps_are_never_negative_where_the_logits_lie_far_off():
    # the mean of squares less the square of the mean cancels to units of either sign here
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(200, 10, generator=generator)
    final = clean + 1e4 + 1e-3 * torch.randn(200, 10, generator=generator)
    for one in (final.split(1), clean.split(1)), (clean.split(1), final.split(1)):
        for f, c in zip(*one, strict=True):
            assert -1e-6 <= pulled(f, c, dkl_mse_weight=1.0, dkl_ce_weight=0.0) < 1e-4


def test_low_precision_logits_are_widened_to_single_precision(logits):
    low = [one.bfloat16() for one in logits]
    single = dkl(*(one.float() for one in low))
    torch.testing.assert_close(dkl(*low), single, rtol=0, atol=0)


@FLOWS
def test_nothing_larger_than_the_logits_is_kept_for_the_backward_pass(logits, flow):
    sizes = []

    def note(tensor):
        sizes.append(tensor.numel())
        return tensor

    sides = [logits[0].requires_grad_(), logits[2].requires_grad_()]
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        dkl(sides[0], logits[1], sides[1], logits[3], mse_flow=flow)
    assert max(sizes) == logits[0].numel()


def test_the_clean_output_is_asked_for_whatever_the_weights():
    assert inputs(**NONE, mse_flow="clean") == (False, True)
