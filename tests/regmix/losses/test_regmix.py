from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from regmix.losses.mse import mse
from regmix.losses.plain import plain
from regmix.losses.regmix import inputs, regmix

PARTS = {"alpha": 0.0, "beta": 0.0, "gamma": 0.0}


def only(**weights):
    return partial(regmix, **{**PARTS, **weights})


def trades_term(adversarial, natural):
    """Zhang et al., ICML 2019: KL(natural || adversarial) as a sum over the batch's size."""
    sum_over_all = nn.KLDivLoss(reduction="sum")
    return sum_over_all(F.log_softmax(adversarial, dim=1), F.softmax(natural, dim=1)) / len(natural)


def test_without_weights_it_is_cross_entropy(logits):
    final, _, _, target = logits
    by_hand = -(target * final.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(only()(*logits), by_hand)


def test_equal_mutual_weights_do_not_care_which_output_is_which(logits):
    final, initial, clean, target = logits
    terms = [
        only(alpha=2.0, beta=2.0)(a, b, clean, target) - F.cross_entropy(a, target)
        for a, b in ((final, initial), (initial, final))
    ]
    torch.testing.assert_close(*terms)


def test_swapping_the_mutual_weights_is_swapping_the_outputs(logits):
    final, initial, clean, target = logits
    one = only(alpha=3.0, beta=0.5)(final, initial, clean, target) - F.cross_entropy(final, target)
    other = only(alpha=0.5, beta=3.0)(initial, final, clean, target)
    torch.testing.assert_close(one, other - F.cross_entropy(initial, target))


def test_unequal_mutual_weights_do_care(logits):
    final, initial, clean, target = logits
    one, other = (only(alpha=a, beta=b)(*logits) for a, b in ((3.0, 0.5), (0.5, 3.0)))
    assert abs(one - other) > 1e-2


@pytest.mark.parametrize(
    ("name", "first", "second"), [("alpha", 0, 1), ("beta", 1, 0), ("gamma", 2, 0)]
)
def test_each_weight_multiplies_its_own_divergence(logits, name, first, second):
    p, q = logits[first].softmax(1), logits[second].softmax(1)
    divergence = (p * (p / q).log()).sum(1).mean()
    term = only(**{name: 2.5})(*logits) - F.cross_entropy(logits[0], logits[3])
    torch.testing.assert_close(term, 2.5 * divergence)


def test_the_terms_add_up(logits):
    weights = {"alpha": 2.0, "beta": 0.7, "gamma": 1.3}
    fit = only()(*logits)
    alone = [only(**{name: weight})(*logits) - fit for name, weight in weights.items()]
    torch.testing.assert_close(regmix(*logits, **weights), fit + sum(alone))


def test_elementmean_divides_the_divergences_alone_by_the_classes(logits):
    weights = {"alpha": 2.0, "beta": 0.7, "gamma": 1.3}
    fit, classes = only()(*logits), logits[0].shape[1]
    small = regmix(*logits, **weights, reduction="elementmean") - fit
    torch.testing.assert_close(small * classes, regmix(*logits, **weights) - fit)


@pytest.mark.parametrize("weights", [{"gamma": 6.0}, {"beta": 6.0}])
def test_with_the_clean_image_as_the_start_it_is_trades_on_the_final_point(weights):
    """Loss and weight gradients, through one network that sees both points."""
    generator = torch.Generator().manual_seed(1)
    x, step = torch.rand(2, 6, 7, generator=generator, dtype=torch.float64)
    target = F.one_hot(torch.arange(6) % 4, 4).double()
    weight = torch.randn(4, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    clean, final = x @ weight.T, (x + 0.3 * step) @ weight.T

    # TRADES fits the clean point, RegMix the final one: the cross-entropies trade places
    ours = only(**weights)(final, clean, clean, target) - F.cross_entropy(final, target)
    ours = ours + F.cross_entropy(clean, target)
    theirs = F.cross_entropy(clean, target) + 6.0 * trades_term(final, clean)

    torch.testing.assert_close(ours, theirs)
    (our_gradient,) = torch.autograd.grad(ours, weight, retain_graph=True)
    (their_gradient,) = torch.autograd.grad(theirs, weight)
    torch.testing.assert_close(our_gradient, their_gradient)


@pytest.mark.parametrize(
    ("name", "frozen", "trained"), [("alpha", 0, 1), ("beta", 1, 0), ("gamma", 2, 0)]
)
def test_target_flow_freezes_the_first_side_and_trains_the_second(logits, name, frozen, trained):
    sides = [side.requires_grad_() for side in logits[:3]]
    term = only(**{name: 1.0}, gradient_flow="target")(*logits) - F.cross_entropy(
        logits[0], logits[3]
    )
    found = torch.autograd.grad(term, sides, allow_unused=True)
    assert found[frozen] is None or found[frozen].abs().max() < 1e-15
    assert found[trained].abs().max() > 1e-3


@pytest.mark.parametrize(("direction", "first"), [("clean_final", 2), ("final_clean", 0)])
def test_the_direction_of_the_clean_term_is_the_order_of_its_divergence(logits, direction, first):
    p, q = logits[first].softmax(1), logits[2 - first].softmax(1)
    divergence = (p * (p / q).log()).sum(1).mean()
    term = only(gamma=2.5, clean_direction=direction)(*logits) - only()(*logits)
    torch.testing.assert_close(term, 2.5 * divergence)


def test_both_directions_of_the_clean_term_are_the_mutual_term_with_the_clean_image(logits):
    final, _, clean, target = logits
    fit = only()(*logits)
    directions = ("clean_final", "final_clean")
    terms = [only(gamma=2.0, clean_direction=one)(*logits) - fit for one in directions]
    p, q = clean.softmax(1), final.softmax(1)
    jeffreys = ((p - q) * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(sum(terms), 2.0 * jeffreys)
    torch.testing.assert_close(
        sum(terms), only(alpha=2.0, beta=2.0)(final, clean, None, target) - fit
    )


@pytest.mark.parametrize("direction", ["clean_final", "final_clean"])
def test_the_clean_term_on_both_branches_is_its_sum_over_them(logits, direction):
    final, initial, clean, target = logits
    one = only(gamma=1.5, clean_direction=direction)
    terms = [
        one(attacked, initial, clean, target) - F.cross_entropy(attacked, target)
        for attacked in (final, initial)
    ]
    both = only(gamma=1.5, clean_direction=direction, clean_branches="both")(*logits)
    torch.testing.assert_close(both - F.cross_entropy(final, target), sum(terms))


@pytest.mark.parametrize("direction", ["clean_final", "final_clean"])
def test_target_flow_freezes_the_first_side_of_every_clean_term(logits, direction):
    sides = [side.requires_grad_() for side in logits[:3]]
    how = {"clean_direction": direction, "clean_branches": "both", "gradient_flow": "target"}
    term = only(gamma=1.0, **how)(*logits) - F.cross_entropy(logits[0], logits[3])
    found = torch.autograd.grad(term, sides, allow_unused=True)
    moved = [one is not None and bool(one.abs().max() > 1e-3) for one in found]
    assert moved == ([True, True, False] if direction == "clean_final" else [False, False, True])


def test_target_flow_changes_the_gradient_but_not_the_loss(logits):
    initial = logits[1].requires_grad_()
    both, target = (regmix(*logits, gradient_flow=flow) for flow in ("both", "target"))
    torch.testing.assert_close(both, target, rtol=0, atol=0)
    gradients = [torch.autograd.grad(loss, initial)[0] for loss in (both, target)]
    assert (gradients[0] - gradients[1]).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("weights", "initial", "clean"),
    [
        ({}, False, False),
        ({"alpha": 0.1}, True, False),
        ({"beta": 0.1}, True, False),
        ({"gamma": 0.1}, False, True),
        ({"alpha": 0.1, "gamma": 0.1}, True, True),
        ({"gamma": 0.1, "clean_branches": "both"}, True, True),
        ({"clean_branches": "both"}, False, False),
    ],
)
def test_only_outputs_with_a_weight_are_asked_for(weights, initial, clean):
    assert inputs(**{**PARTS, **weights}) == (initial, clean)


def test_the_squared_penalty_is_its_reference_formula(logits):
    final, initial, _, target = logits
    gap = sum((f - i) ** 2 for f, i in zip(final.flatten(), initial.flatten(), strict=True))
    expected = -(target * final.log_softmax(1)).sum(1).mean() + 10.0 * gap / final.numel()
    torch.testing.assert_close(mse(*logits, mse_weight=10.0), expected)


def test_a_shift_of_the_initial_logits_moves_the_squared_penalty_and_no_divergence(logits):
    final, initial, clean, target = logits
    moved = (final, initial + 1.0, clean, target)
    torch.testing.assert_close(regmix(*moved), regmix(*logits))
    assert abs(mse(*moved) - mse(*logits)) > 0.1


@pytest.mark.parametrize("idle", [plain, partial(mse, mse_weight=0.0), only()])
def test_without_a_penalty_all_losses_are_the_same(logits, idle):
    torch.testing.assert_close(idle(*logits), F.cross_entropy(logits[0], logits[3]))


def test_plain_hand_example():
    even, label = torch.zeros(1, 4), torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    torch.testing.assert_close(plain(even, even, None, label), torch.tensor(4.0).log())
