"""What the trainer computes: compared with loops written afresh, and seen through a recorder."""

import copy

import pytest
import torch
from torch.nn import functional as F

from regmix.projection import project
from regmix.training.schedules import SCHEDULES


def fgsm_training(model, images, labels, *, epsilon, lr, batches, classes=3):
    """FGSM adversarial training with SGD (momentum 0.9, weight decay 5e-4), as one writes it."""
    velocity = [torch.zeros_like(weight) for weight in model.parameters()]
    for index in batches:
        x, y = images[index], F.one_hot(labels[index], classes).float()
        point = x.clone().requires_grad_()
        F.cross_entropy(model(point), y).backward(inputs=point)
        attacked = (x + epsilon * point.grad.sign()).clamp(0, 1)
        gradients = torch.autograd.grad(
            F.cross_entropy(model(attacked), y), list(model.parameters())
        )
        with torch.no_grad():
            for weight, speed, gradient in zip(
                model.parameters(), velocity, gradients, strict=True
            ):
                speed.mul_(0.9).add_(gradient + 5e-4 * weight)
                weight -= lr * speed


@pytest.mark.parametrize("epochs", [1, 2])
def test_plain_from_zero_is_fgsm_adversarial_training(build, tiny_split, epochs):
    trainer = build(initialization="zero", loss="plain", seed=3, lr=0.1, epochs=epochs)
    model = copy.deepcopy(trainer.model).train()
    start = copy.deepcopy(model.state_dict())
    images = torch.from_numpy(tiny_split.train.images).float() / 255
    labels = torch.from_numpy(tiny_split.train.labels)
    order = torch.Generator().manual_seed(3)
    batches = [
        batch
        for _ in range(epochs)
        for batch in torch.randperm(len(labels), generator=order).split(20)
    ]
    fgsm_training(model, images, labels, epsilon=0.1, lr=0.1, batches=batches)

    list(trainer.epochs())
    ours, theirs = trainer.model.state_dict(), model.state_dict()
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert (ours["0.weight"] - start["0.weight"]).abs().max() > 0.01


@pytest.mark.parametrize(
    "loss",
    [
        {"loss": "mse", "mse_weight": 0},
        {"loss": "logit_pairing", "pairing_weight": 0},
        {"loss": "regmix", "alpha": 0, "beta": 0, "gamma": 0},
    ],
)
def test_without_weights_every_loss_trains_as_plain_does(build, loss):
    plain, other = build(loss="plain"), build(**loss)
    for trainer in (plain, other):
        list(trainer.epochs(until=3))
    torch.testing.assert_close(other.model.state_dict(), plain.model.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_each_weight_of_regmix_changes_the_training(build, name):
    weights = {"alpha": 0, "beta": 0, "gamma": 0}
    none, one = (build(loss="regmix", **{**weights, name: w}) for w in (0, 5))
    for trainer in (none, one):
        list(trainer.epochs(until=1))
    gap = one.model.state_dict()["0.weight"] - none.model.state_dict()["0.weight"]
    assert gap.abs().max() > 1e-4


def test_every_image_is_seen_once_an_epoch_in_a_new_order(build, seen, tiny_split):
    list(build(epochs=2).epochs())
    batches = [call.images for call in seen]
    assert [len(batch) for batch in batches] == [20, 20, 8] * 2
    first, second = torch.cat(batches[:3]), torch.cat(batches[3:])
    given = torch.from_numpy(tiny_split.train.images).float() / 255
    for epoch in (first, second):
        assert sorted(epoch.flatten(1).tolist()) == sorted(given.flatten(1).tolist())
    assert not torch.equal(first, second)


@pytest.mark.parametrize("tau", [1.0, 0.7])
def test_labels_are_smoothed_to_the_true_class_mass(build, seen, tau):
    list(build(epochs=1, true_class_mass=tau).epochs())
    target = torch.cat([call.target for call in seen])
    highest, _ = target.sort(1, descending=True)
    expected = torch.tensor([tau, (1 - tau) / 2, (1 - tau) / 2]).expand(48, 3)
    torch.testing.assert_close(highest, expected)
    assert target.argmax(1).bincount().tolist() == [16, 16, 16]


def starts(seen, build, initialization):
    list(build(epochs=1, initialization=initialization, epsilon_ratio=0.5).epochs())
    return torch.cat([call.start for call in seen])


def test_a_run_can_start_from_zero(seen, build):
    assert not starts(seen, build, "zero").any()


@pytest.mark.parametrize("initialization", ["corner", "history"])
def test_a_run_can_start_from_corners(seen, build, initialization):
    values = starts(seen, build, initialization)
    torch.testing.assert_close(values.abs(), torch.full_like(values, 0.05), rtol=0, atol=3e-5)
    assert 0.45 < (values > 0).float().mean() < 0.55


def test_a_run_can_start_from_uniform_noise(seen, build):
    values = starts(seen, build, "random")
    assert 0.0499 < values.abs().max() <= 0.05
    assert values.std() == pytest.approx(0.05 / 3**0.5, rel=0.05)


def test_noise_is_new_each_epoch(seen, build):
    list(build(epochs=2, initialization="random", batch_size=48).epochs())
    assert not torch.equal(seen[0].start, seen[1].start)


@pytest.mark.parametrize("ratio", [0.0, 0.5, 2.0])
def test_the_attack_gets_the_training_radius(build, seen, ratio):
    list(build(epochs=1, eval_epsilon=0.1, epsilon_ratio=ratio).epochs())
    assert {call.options["epsilon"] for call in seen} == {ratio * 0.1}
    assert max(call.attacked.perturbation.abs().max() for call in seen) <= ratio * 0.1 + 1e-6


@pytest.mark.parametrize(("alpha", "kept"), [(0, False), (1, True)])
def test_the_attacks_graph_is_kept_only_for_a_loss_that_trains_through_it(build, seen, alpha, kept):
    list(build(epochs=1, loss="regmix", alpha=alpha, beta=0).epochs())
    assert {call.options["keep_graph"] for call in seen} == {kept}


@pytest.mark.parametrize("step_ratio", [0.0, 0.5, 1.0])
def test_history_moves_along_the_memory_by_the_attacks_step(build, seen, tiny_split, step_ratio):
    """One full batch an epoch: the second start follows from the first call alone."""
    how = {"batch_size": 48, "epochs": 2, "initialization": "history"}
    list(build(**how, step_ratio=step_ratio).epochs())
    first, second = seen
    moved = first.start + step_ratio * 0.1 * first.attacked.gradient.sign()
    expected = project(moved, first.images, 0.1)
    # the batches come in different orders: match the images
    at = (first.images[:, None] == second.images[None]).flatten(2).all(2).int().argmax(1)
    torch.testing.assert_close(second.start[at], expected, rtol=0, atol=1e-4)  # fp16 storage


def test_history_is_reset_at_its_interval(build, seen):
    list(build(batch_size=48, epochs=5, initialization="history", reset_interval=2).epochs())
    fresh = [bool((call.start.abs() > 0.0999).all()) for call in seen]
    assert fresh == [True, False, True, False, True]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_rate_follows_the_schedule_step_by_step(build, monkeypatch, schedule):
    trainer, rates = build(schedule=schedule, lr=0.3, epochs=5), []
    step = trainer._optimizer.step
    monkeypatch.setattr(
        trainer._optimizer,
        "step",
        lambda sound: (rates.append(trainer._optimizer.lr), step(sound)),
    )
    last = [metrics.lr for metrics in trainer.epochs()]
    expected = [0.3 * SCHEDULES[schedule](n / 15) for n in range(15)]  # 3 batches an epoch
    assert rates == pytest.approx(expected)
    assert last == rates[2::3]


def test_training_metrics_are_means_over_images_and_not_over_batches(build, seen, monkeypatch):
    losses = []

    def plain(final, initial, clean, target):
        loss = F.cross_entropy(final, target)
        losses.append((len(final), loss.item(), (final.argmax(1) == target.argmax(1)).sum().item()))
        return loss

    monkeypatch.setattr("regmix.losses.plain.plain", plain)
    (metrics,) = build(epochs=1).epochs()
    weighed = sum(count * loss for count, loss, _ in losses) / 48
    right = [(call.attacked.initial.argmax(1) == call.target.argmax(1)).sum() for call in seen]
    assert metrics.train_loss == pytest.approx(weighed)
    assert metrics.train_final == pytest.approx(sum(hits for *_, hits in losses) / 48)
    assert metrics.train_initial == pytest.approx(sum(right).item() / 48)
