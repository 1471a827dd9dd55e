"""TRADES, MART and logit pairing: the losses that pull the final output to the clean one."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from regmix.losses.logit_pairing import logit_pairing
from regmix.losses.mart import inputs as mart_inputs
from regmix.losses.mart import mart
from regmix.losses.regmix import regmix
from regmix.losses.trades import trades


def one_network(loss, reference):
    """Loss and weight gradient of both, through one linear network that sees both points."""
    generator = torch.Generator().manual_seed(1)
    x, step = torch.rand(2, 6, 7, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 7, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(6) % 4
    clean, final = x @ weight.T, (x + 0.3 * step) @ weight.T
    for value in (
        loss(final, torch.zeros_like(final), clean, F.one_hot(labels, 4).double()),
        reference(final, clean, labels),
    ):
        yield value, torch.autograd.grad(value, weight, retain_graph=True)[0]


def trades_by_hand(adversarial, natural, labels):
    """Zhang et al., ICML 2019, with weight 6."""
    divergence = nn.KLDivLoss(reduction="sum")(
        F.log_softmax(adversarial, dim=1), F.softmax(natural, dim=1)
    )
    return F.cross_entropy(natural, labels) + 6.0 * divergence / len(labels)


def mart_by_hand(adversarial, natural, labels):
    """Wang et al., ICLR 2020, image by image, with weight 5."""
    total = 0.0
    for a, n, y in zip(adversarial.softmax(1), natural.softmax(1), labels.tolist(), strict=True):
        wrong = torch.cat([a[:y], a[y + 1 :]]).max()
        boosted = -a[y].log() - (1 - wrong).log()
        divergence = sum(n[k] * (n[k] / a[k]).log() for k in range(len(a)))
        total = total + boosted + 5.0 * divergence * (1 - n[y])
    return total / len(labels)


@pytest.mark.parametrize(("loss", "reference"), [(trades, trades_by_hand), (mart, mart_by_hand)])
def test_loss_and_gradient_are_those_of_the_paper(loss, reference):
    (ours, our_gradient), (theirs, their_gradient) = one_network(loss, reference)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(our_gradient, their_gradient)


def test_trades_without_weight_fits_the_clean_image_alone(logits):
    final, initial, clean, target = logits
    by_hand = -(target * clean.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(trades(*logits, trades_weight=0.0), by_hand)


def test_trades_is_regmix_with_only_the_clean_term_and_the_fit_moved(logits):
    final, initial, clean, target = logits
    moved = F.cross_entropy(clean, target) - F.cross_entropy(final, target)
    ours = trades(*logits, trades_weight=3.5)
    torch.testing.assert_close(ours, regmix(*logits, alpha=0.0, beta=0.0, gamma=3.5) + moved)


def test_trades_without_an_attack_is_its_fit(logits):
    _, initial, clean, target = logits
    loss = trades(clean, initial, clean, target)
    torch.testing.assert_close(loss, F.cross_entropy(clean, target))


def test_mart_leaves_an_image_alone_that_is_surely_right(logits):
    final, initial, _, target = logits
    sure = 1e3 * F.one_hot(target.argmax(1), 4).double()
    light, heavy = (mart(final, initial, sure, target, mart_weight=w) for w in (0.0, 100.0))
    torch.testing.assert_close(light, heavy)


def test_mart_pulls_an_image_that_is_surely_wrong_with_the_whole_weight(logits):
    final, initial, _, target = logits
    wrong = 1e3 * F.one_hot((target.argmax(1) + 1) % 4, 4).double()
    term = mart(final, initial, wrong, target, mart_weight=2.0) - mart(
        final, initial, wrong, target, mart_weight=0.0
    )
    # all mass on the wrong class: the divergence is that class's cross-entropy
    torch.testing.assert_close(term, 2.0 * F.cross_entropy(final, wrong.argmax(1)))


def test_mart_hand_example():
    """Four even classes: CE is log 4, the boost -log(3/4), and without an attack no pull."""
    even, label = torch.zeros(1, 4), torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    expected = torch.tensor(4.0).log() - torch.tensor(0.75).log()
    torch.testing.assert_close(mart(even, even, even, label), expected)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_marts_boost_stays_finite_with_its_gradient_where_all_mass_is_on_one_class(sign):
    final = sign * torch.tensor([[1e4, 0.0]])
    final.requires_grad_()
    loss = mart(final, final, None, torch.tensor([[1.0, 0.0]]), mart_weight=0.0)
    (gradient,) = torch.autograd.grad(loss, final)
    torch.testing.assert_close(loss, torch.tensor(0.0 if sign > 0 else 2e4))
    assert gradient.isfinite().all()
    assert gradient.any() == (sign < 0)


def test_marts_label_is_the_largest_entry_of_a_smoothed_target(logits):
    final, initial, clean, target = logits
    hard = F.one_hot(target.argmax(1), 4).double()
    moved = F.cross_entropy(final, hard) - F.cross_entropy(final, target)
    torch.testing.assert_close(mart(*logits) + moved, mart(final, initial, clean, hard))


@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_mart_asks_for_the_clean_output_only_with_a_weight(weight):
    assert mart_inputs(mart_weight=weight) == (False, weight > 0)


def test_logit_pairing_is_its_reference_formula(logits):
    final, _, clean, target = logits
    gap = sum((f - c) ** 2 for f, c in zip(final.flatten(), clean.flatten(), strict=True))
    expected = -(target * final.log_softmax(1)).sum(1).mean() + 0.7 * gap / final.numel()
    torch.testing.assert_close(logit_pairing(*logits, pairing_weight=0.7), expected)


def test_logit_pairing_without_weight_needs_no_clean_output(logits):
    final, initial, _, target = logits
    loss = logit_pairing(final, initial, None, target, pairing_weight=0.0)
    torch.testing.assert_close(loss, F.cross_entropy(final, target))
