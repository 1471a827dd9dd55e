import copy

import pytest
import torch

from regmix.evaluation.pgd_ensemble import correct, pgd, random_start, validate
from tests.support.regmix.models import Around


def values(found):
    """The four shares of an evaluation."""
    return found.clean, found.fgsm, found.pgd, found.robust


def masks(found):
    """Who is right, image by image, under each attack."""
    return torch.stack([found.clean_mask, found.fgsm_mask, found.pgd_mask, found.robust_mask])


@pytest.mark.parametrize("epsilon", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_on_a_linear_model_every_share_is_the_closed_form(linear, epsilon):
    model, images, labels, worst_margin = linear
    start = random_start(images, epsilon, seed=0)
    shares = validate(model, images, labels, start, epsilon=epsilon, steps=10)
    exact = (worst_margin(epsilon) > 0).float().mean().item()
    assert shares.clean == pytest.approx((worst_margin(0) > 0).float().mean().item())
    assert (shares.fgsm, shares.pgd, shares.robust) == pytest.approx((exact,) * 3)


def test_the_closed_form_covers_easy_and_hopeless_radii(linear):
    *_, worst_margin = linear
    shares = [(worst_margin(epsilon) > 0).float().mean() for epsilon in (0, 0.05, 0.2)]
    assert 0.8 < shares[0] < 0.95  # a tenth of the labels is wrong
    assert 0.2 < shares[1] < shares[0] - 0.1
    assert shares[2] < 0.1


def test_misclassified_clean_images_count_as_broken(trained, digit_images):
    images, labels = digit_images
    wrong = (labels + 1) % 10
    alike = trained(images).argmax(1) == wrong
    start = random_start(images, 0.01, seed=0)
    shares = validate(trained, images, wrong, start, epsilon=0.01, steps=2)
    assert max(values(shares)) == shares.clean == pytest.approx(alike.float().mean().item())


def test_without_a_radius_all_shares_are_the_clean_one(trained, digit_images):
    images, labels = digit_images
    zero = torch.zeros_like(images)
    shares = validate(trained, images, labels, zero, epsilon=0.0, steps=3)
    assert set(values(shares)) == {shares.clean}
    assert shares.clean == pytest.approx(correct(trained, images, labels).float().mean().item())


def test_the_objective_is_the_images_that_survive_both_attacks(trained, digit_images):
    images, labels = digit_images
    start = random_start(images, 0.06, seed=3)
    shares = validate(trained, images, labels, start, epsilon=0.06, steps=4)
    clean = correct(trained, images, labels)
    how = {"epsilon": 0.06, "step": 0.06, "steps": 4, "schedule": "falling"}
    crossed, margin = (
        pgd(trained, images, labels, start, **how, objective=kind)[0]
        for kind in ("cross_entropy", "margin")
    )
    assert (crossed & ~margin).any()  # else the margin adds nothing here
    assert shares.pgd == pytest.approx((clean & crossed).float().mean().item())
    assert shares.robust == pytest.approx((clean & crossed & margin).float().mean().item())


def test_an_evaluation_says_image_by_image_who_is_right(trained, digit_images):
    images, labels = digit_images
    start = random_start(images, 0.06, seed=3)
    found = validate(trained, images, labels, start, epsilon=0.06, steps=4)
    assert torch.equal(found.clean_mask, trained(images).argmax(1) == labels)
    assert values(found) == tuple(int(mask.sum()) / 120 for mask in masks(found))
    assert not (found.fgsm_mask & ~found.clean_mask).any()
    assert not (found.pgd_mask & ~found.clean_mask).any()
    assert not (found.robust_mask & ~found.pgd_mask).any()
    assert found.steps == 4


@pytest.mark.parametrize("epsilon", [0.01, 0.05, 0.1])
def test_a_stronger_ensemble_leaves_fewer(trained, digit_images, epsilon):
    images, labels = digit_images
    start = random_start(images, epsilon, seed=0)
    shares = validate(trained, images, labels, start, epsilon=epsilon, steps=5)
    assert shares.robust <= shares.pgd <= shares.clean
    assert shares.fgsm <= shares.clean


def test_a_larger_radius_leaves_fewer(trained, digit_images):
    images, labels = digit_images
    robust = [
        validate(
            trained, images, labels, random_start(images, epsilon, 0), epsilon=epsilon, steps=10
        ).robust
        for epsilon in (0.0, 0.03, 0.06, 0.12)
    ]
    assert robust == sorted(robust, reverse=True)
    assert robust[0] - robust[-1] > 0.5


def test_same_seed_same_result_and_the_batch_size_does_not_matter(trained, digit_images):
    images, labels = digit_images
    one, again, small = (
        validate(
            trained,
            images,
            labels,
            random_start(images, 0.06, seed=0),
            epsilon=0.06,
            steps=4,
            batch_size=batch_size,
        )
        for batch_size in (1000, 1000, 11)
    )
    assert torch.equal(masks(one), masks(again))
    assert torch.equal(masks(one), masks(small))
    assert 0 < one.robust < one.pgd < one.clean


def test_it_leaves_weights_statistics_and_gradients_as_they_were(trained, digit_images):
    images, labels = digit_images
    before = copy.deepcopy(trained.state_dict())
    start = random_start(images, 0.1, seed=0)
    validate(trained, images, labels, start, epsilon=0.1, steps=3)
    torch.testing.assert_close(trained.state_dict(), before, rtol=0, atol=0)
    assert all(weight.grad is None for weight in trained.parameters())


def test_an_average_without_gradients_can_be_attacked(trained, digit_images):
    images, labels = digit_images
    frozen = copy.deepcopy(trained).requires_grad_(False)
    start = random_start(images, 0.06, seed=0)
    one, other = (
        validate(model, images, labels, start, epsilon=0.06, steps=4) for model in (trained, frozen)
    )
    assert torch.equal(masks(one), masks(other))


def survivors(model, images, labels, objective):
    start = random_start(images, 0.06, seed=0)
    keep = correct(model, images, labels)
    alive, _ = pgd(
        model, images, labels, start, epsilon=0.06, step=0.015, steps=10, objective=objective
    )
    return (alive & keep).float().mean().item()


def test_loud_logits_do_not_blind_the_margin(trained, digit_images):
    quiet, loud = (
        survivors(model, *digit_images, "margin")
        for model in (trained, Around(trained, after=lambda z: z * 1e4).eval())
    )
    assert abs(loud - quiet) <= 0.01


def test_loud_logits_blind_cross_entropy(trained, digit_images):
    # the negative control: where the loss saturates, its gradient is exactly zero
    quiet, loud = (
        survivors(model, *digit_images, "cross_entropy")
        for model in (trained, Around(trained, after=lambda z: z * 1e4).eval())
    )
    assert loud > quiet + 0.1
