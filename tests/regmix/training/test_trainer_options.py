"""Options of the training step: the attack's mode, clipping, precision, what a fault tells."""

import copy
import math
import re

import pytest
import torch
from torch.nn import functional as F

from regmix import registry
from regmix.errors import NonFiniteError
from tests.support.regmix.epochs import timeless

ALL = {"loss": "regmix", "alpha": 1, "beta": 1, "gamma": 1}  # asks for initial and clean outputs
STEP = {"epochs": 1, "batch_size": 48, "momentum": 0, "weight_decay": 0}  # a single update


@pytest.mark.parametrize("initialization", ["history", "corner", "random", "zero"])
@pytest.mark.parametrize("box", ["free", "clipped"])
def test_starts_lie_in_the_ball_and_where_asked_in_the_box(build, seen, initialization, box):
    changes = {"reset_interval": 2, "augment": "crop_flip", "align_history": True}
    trainer = build(epochs=3, initialization=initialization, start_box=box, **changes)
    list(trainer.epochs())
    assert seen
    outside = 0
    for call in seen:
        point = call.images + call.start
        assert call.start.abs().max() <= 0.1 + 1e-6
        outside += int(((point < -1e-6) | (point > 1 + 1e-6)).sum())
    if box == "clipped" or initialization == "zero":
        assert outside == 0
    else:
        assert outside > 0


@pytest.mark.parametrize("initialization", ["history", "random"])
def test_the_box_of_the_start_is_another_run_and_free_is_the_default(build, initialization):
    runs = [
        timeless(build(initialization=initialization, **box).epochs())
        for box in ({}, {"start_box": "free"}, {"start_box": "clipped"})
    ]
    assert runs[0] == runs[1] != runs[2]


def statistics(model):
    return {name: value for name, value in model.state_dict().items() if "running" in name}


def after_passes(model, points):
    """The running statistics of a fresh copy that sees these points in train mode, in order."""
    model = copy.deepcopy(model).train()
    with torch.no_grad():
        for point in points:
            model(point)
    return statistics(model)


def passes(call, names):
    points = {
        "initial": call.images + call.start,
        "final": call.images + call.attacked.perturbation,
        "clean": call.images,
    }
    return [points[name] for name in names.split()]


@pytest.mark.parametrize(
    ("mode", "loss", "expected"),
    [
        ("eval", {"loss": "plain"}, "final"),
        ("train", {"loss": "plain"}, "initial final"),
        ("eval", ALL, "initial final clean"),
        ("train", ALL, "initial final clean"),
    ],
)
def test_running_statistics_see_the_attack_in_train_mode_only(build, seen, mode, loss, expected):
    trainer = build(**STEP, **loss, attack_mode=mode, initialization="random")
    fresh = copy.deepcopy(trainer.model)
    list(trainer.epochs())
    (call,) = seen
    ours = statistics(trainer.model)
    torch.testing.assert_close(ours, after_passes(fresh, passes(call, expected)))
    assert trainer.model[1].num_batches_tracked == len(expected.split())
    other = after_passes(fresh, passes(call, "clean"))  # a single pass elsewhere is another thing
    assert any((ours[name] - other[name]).abs().max() > 1e-4 for name in ours)


@pytest.mark.parametrize("attack", [{"attack": "pgd", "steps": 3}, {"attack": "fgsm"}])
def test_in_eval_mode_no_attack_moves_a_statistic(build, attack):
    trainer = build(epochs=2, **attack, attack_mode="eval", initialization="random")
    list(trainer.epochs())
    assert trainer.model[1].num_batches_tracked == 2 * 3  # the final pass of each step


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_attack_sees_the_network_in_its_mode_and_the_loss_in_train_mode(
    build, seen, monkeypatch, mode
):
    handed = []

    def regmix(final, initial, clean, target, **_):
        call = seen[-1]
        reference = copy.deepcopy(trainer.model)
        assert all(module.training for module in trainer.model.modules())
        with torch.no_grad():
            expected = reference.train()(call.images + call.start)
        torch.testing.assert_close(initial, expected)
        assert initial.requires_grad
        handed.append((reference, call))
        return F.cross_entropy(final, target) + F.cross_entropy(initial, target)

    monkeypatch.setattr("regmix.losses.regmix.regmix", regmix)
    trainer = build(**ALL, epochs=3, batch_size=48, attack_mode=mode, initialization="random")
    list(trainer.epochs())
    reference, call = handed[-1]
    # the gradient tells the mode; the statistics have moved since, but no weight has
    gradients = {}
    for name in ("eval", "train"):
        point = (call.images + call.start).requires_grad_()
        logits = getattr(reference, name)()(point)
        (gradients[name],) = torch.autograd.grad(F.cross_entropy(logits, call.target), point)
    agreement = {
        name: F.cosine_similarity(gradient.flatten(), call.attacked.gradient.flatten(), dim=0)
        for name, gradient in gradients.items()
    }
    assert max(agreement, key=agreement.get) == mode
    assert abs(agreement["eval"] - agreement["train"]) > 0.01


def one_step(build, **changes):
    """The update of one step over its rate, weight by weight, and the gradient by hand."""
    trainer = build(**STEP, initialization="zero", lr=0.5, **changes)
    model = copy.deepcopy(trainer.model).train()
    before = [weight.detach().clone() for weight in trainer.model.parameters()]
    order = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    images, labels = trainer.images[order].float() / 255, trainer.labels[order]
    point = images.clone().requires_grad_()
    F.cross_entropy(model(point), labels).backward(inputs=[point])
    attacked = (images + 0.1 * point.grad.sign()).clamp(0, 1)
    loss = F.cross_entropy(model(attacked), labels)
    gradient = torch.autograd.grad(loss, list(model.parameters()))
    list(trainer.epochs())
    moved = [
        (old - new.detach()) / 0.5
        for old, new in zip(before, trainer.model.parameters(), strict=True)
    ]
    return moved, list(gradient)


def norm(values):
    return torch.cat([value.flatten() for value in values]).norm().item()


def test_without_a_limit_the_step_is_the_gradient(build):
    moved, gradient = one_step(build, clip_norm=None)
    torch.testing.assert_close(moved, gradient, rtol=1e-3, atol=1e-5)
    assert norm(gradient) > 0.5  # so that the limits below do cut


@pytest.mark.parametrize("limit", [0.5, 0.05, 1e-3])
def test_a_limit_shortens_the_whole_gradient_and_keeps_its_direction(build, limit):
    moved, gradient = one_step(build, clip_norm=limit)
    assert norm(moved) == pytest.approx(limit, rel=2e-3)
    shorter = [value * limit / norm(gradient) for value in gradient]
    torch.testing.assert_close(moved, shorter, rtol=1e-2, atol=1e-2 * limit)


def test_a_limit_that_is_not_reached_changes_nothing(build):
    (moved, gradient), (free, _) = one_step(build, clip_norm=1e3), one_step(build, clip_norm=None)
    assert norm(gradient) < 1e3
    torch.testing.assert_close(moved, free, rtol=0, atol=0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("loss", registry.names("loss"))
def test_saturated_logits_give_finite_losses_and_weights(build, loss, precision):
    trainer = build(loss=loss, precision=precision, initialization="random", lr=1e-9)
    with torch.no_grad():
        trainer.model[-1].weight *= 1e5
        assert trainer.model.train()(trainer.images.float() / 255).abs().max() > 1e4
    for metrics in trainer.epochs(until=2):
        assert math.isfinite(metrics.train_loss)
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())


@pytest.mark.parametrize("fault", [math.nan, math.inf, -math.inf])
def test_a_fault_tells_its_place_the_largest_logit_and_the_rate(build, monkeypatch, fault):
    steps = []

    def plain(final, initial, clean, target):
        steps.append(final.abs().max().item())
        return F.cross_entropy(final, target) + (fault if len(steps) == 5 else 0)

    monkeypatch.setattr("regmix.losses.plain.plain", plain)
    trainer = build(lr=0.25)
    with pytest.raises(NonFiniteError) as caught:
        list(trainer.epochs())
    expected = (
        f"loss is {fault} in epoch 2, step 2: largest logit {steps[-1]:.3g} at the final "
        "perturbation, lr 0.25"
    )
    assert re.fullmatch(re.escape(expected), str(caught.value))
    assert all(weight.isfinite().all() for weight in trainer.model.parameters())
