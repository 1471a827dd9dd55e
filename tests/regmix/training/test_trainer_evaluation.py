"""What the trainer hands to its loss, and what it evaluates at the end of an epoch."""

import pytest
import torch
from torch.nn import functional as F

from regmix.evaluation.pgd_ensemble import random_start, validate
from regmix.training.augment import crop_flip


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"eval_epsilon": 0.2},
        {"eval_steps": 7},
        {"eval_steps": 3, "eval_step_schedule": "constant"},
        {"eval_seed": 1},
        {"epsilon_ratio": 2.0},
        {"averaging_decay": 0.0},
        {"seed": 4},
    ],
    ids=str,
)
def test_an_epochs_shares_are_those_of_the_average_at_the_evaluated_radius(
    build, tiny_split, changes
):
    trainer = build(
        **{
            "epochs": 6,
            "eval_epsilon": 0.25,
            "averaging_decay": 0.8,
            "width": 4,
            "lr": 0.05,
            **changes,
        }
    )
    images = torch.from_numpy(tiny_split.valid.images).float() / 255
    labels = torch.from_numpy(tiny_split.valid.labels)
    config = trainer.config
    start = random_start(images, config.eval_epsilon, config.eval_seed)
    for metrics in trainer.epochs(until=5):
        shares = validate(
            trainer.average.model,
            images,
            labels,
            start,
            epsilon=config.eval_epsilon,
            steps=config.eval_steps,
            schedule=config.eval_step_schedule,
        )
        ours = (metrics.valid_clean, metrics.valid_fgsm, metrics.valid_pgd, metrics.valid_robust)
        assert ours == (shares.clean, shares.fgsm, shares.pgd, shares.robust)


@pytest.mark.parametrize(("every", "expected"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_an_epoch_between_two_validations_has_none_and_is_watched_all_the_same(
    build, every, expected
):
    found = list(build(epochs=5, eval_every=every).epochs())
    assert [metrics.epoch for metrics in found if metrics.validated] == expected
    always = list(build(epochs=5).epochs())
    for metrics, whole in zip(found, always, strict=True):
        assert (metrics.raw_fgsm, metrics.raw_pgd) == (whole.raw_fgsm, whole.raw_pgd)
        theirs = (whole.valid_clean, whole.valid_fgsm, whole.valid_pgd, whole.valid_robust)
        ours = (metrics.valid_clean, metrics.valid_fgsm, metrics.valid_pgd, metrics.valid_robust)
        assert ours == (theirs if metrics.validated else (None,) * 4)
        assert metrics.best_epoch in (0, *expected)
    assert found[-1].final == always[-1].final is not None


def test_evaluation_does_not_touch_the_training(build):
    light, heavy = build(eval_steps=1, eval_seed=0), build(eval_steps=9, eval_seed=5)
    for trainer in (light, heavy):
        list(trainer.epochs())
    torch.testing.assert_close(light.model.state_dict(), heavy.model.state_dict(), rtol=0, atol=0)


def test_a_loss_sees_the_network_at_the_start_at_the_end_and_on_the_image(build, seen, monkeypatch):
    gaps = []

    def regmix(final, initial, clean, target, **_):
        call = seen[-1]
        points = (call.images + call.attacked.perturbation, call.images + call.start, call.images)
        with torch.no_grad():  # in train mode a batch is normalised by itself
            expected = [trainer.model(point) for point in points]
        torch.testing.assert_close([final, initial, clean], expected)
        gaps.append(
            min(
                (a - b).abs().max()
                for a, b in zip(expected, [*expected[1:], expected[0]], strict=True)
            )
        )
        return F.cross_entropy(final, target)

    monkeypatch.setattr("regmix.losses.regmix.regmix", regmix)
    trainer = build(epochs=2, loss="regmix", initialization="random")
    list(trainer.epochs())
    assert min(gaps) > 1e-3  # three different points, so none can stand in for another


def test_augmented_images_are_crops_of_the_given_ones(build, seen, tiny_split):
    list(build(epochs=1, augment="crop_flip", batch_size=48).epochs())
    given = torch.from_numpy(tiny_split.train.images).float() / 255
    many = torch.cat(
        [crop_flip(given, torch.Generator().manual_seed(n)).take(given) for n in range(150)]
    )
    possible = {tuple(crop) for crop in many.flatten(1).tolist()}
    crops = {tuple(crop) for crop in seen[0].images.flatten(1).tolist()}
    assert len(crops) == 48
    assert crops <= possible
    assert len(crops & {tuple(image) for image in given.flatten(1).tolist()}) < 12
