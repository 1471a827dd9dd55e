import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from regmix.evaluation.pgd_ensemble import pgd, random_start
from regmix.projection import project

OBJECTIVES = pytest.mark.parametrize("objective", ["cross_entropy", "margin"])


def random_model(seed):
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3)).eval()
    for weight in model.parameters():
        weight.data = torch.randn(weight.shape, generator=generator)
    images = torch.rand(12, 1, 4, 4, generator=generator)
    return model, images, model(images).argmax(1)


def plain_pgd(model, images, labels, start, *, epsilon, step, steps, ascended):
    """A reference that never drops an image: who was right at every point on the way?"""
    move = project(start, images, epsilon)
    right = model(images + move).argmax(1) == labels
    for _ in range(steps):
        point = move.clone().requires_grad_()
        ascended(model(images + point), labels).backward(inputs=point)
        move = project(move + step * point.grad.sign(), images, epsilon)
        right &= model(images + move).argmax(1) == labels
    return right, move


def margin(logits, labels):
    own = F.one_hot(labels, logits.shape[1]).bool()
    return (logits.masked_fill(own, -torch.inf).max(1).values - logits[own]).sum()


def summed_cross_entropy(logits, labels):
    return F.cross_entropy(logits, labels, reduction="sum")


@pytest.mark.parametrize(
    ("objective", "ascended"), [("cross_entropy", summed_cross_entropy), ("margin", margin)]
)
def test_it_is_the_textbook_attack(trained, digit_images, objective, ascended):
    images, labels = digit_images
    start = random_start(images, 0.06, seed=0)
    how = {"epsilon": 0.06, "step": 0.015, "steps": 6}
    survived, ours = pgd(trained, images, labels, start, **how, objective=objective)
    right, theirs = plain_pgd(trained, images, labels, start, **how, ascended=ascended)
    assert 0.1 < right.float().mean() < 0.9  # else the comparison says little
    assert torch.equal(survived, right)
    torch.testing.assert_close(ours[survived], theirs[right], rtol=0, atol=1e-6)


@OBJECTIVES
@given(
    seed=st.integers(0, 2**32),
    epsilon=st.floats(0, 1),
    step=st.floats(0, 0.5),
    reach=st.floats(0, 2),
    steps=st.integers(0, 4),
)
def test_it_stays_in_the_ball_and_in_the_box(objective, seed, epsilon, step, reach, steps):
    model, images, labels = random_model(seed)
    start = random_start(images, reach, seed)
    how = {"epsilon": epsilon, "step": step, "steps": steps, "objective": objective}
    _, perturbation = pgd(model, images, labels, start, **how)
    assert perturbation.abs().max() <= epsilon + 1e-6
    assert (images + perturbation).min() >= 0
    assert (images + perturbation).max() <= 1


@OBJECTIVES
@given(seed=st.integers(0, 2**32), steps=st.integers(0, 4))
def test_who_survives_is_who_is_right_at_the_last_perturbation(objective, seed, steps):
    model, images, labels = random_model(seed)
    start = random_start(images, 0.2, seed)
    how = {"epsilon": 0.2, "step": 0.05, "steps": steps, "objective": objective}
    survived, perturbation = pgd(model, images, labels, start, **how)
    assert torch.equal(survived, model(images + perturbation).argmax(1) == labels)


@OBJECTIVES
def test_more_steps_never_bring_an_image_back(trained, digit_images, objective):
    images, labels = digit_images
    start = random_start(images, 0.06, seed=0)
    alive = [
        pgd(
            trained,
            images,
            labels,
            start,
            epsilon=0.06,
            step=0.015,
            steps=steps,
            objective=objective,
        )[0]
        for steps in (0, 1, 2, 4, 8)
    ]
    assert all((more <= fewer).all() for fewer, more in zip(alive, alive[1:], strict=False))
    assert alive[-1].sum() < alive[1].sum()


@OBJECTIVES
def test_without_a_radius_it_evaluates_the_clean_images(trained, digit_images, objective):
    images, labels = digit_images
    start = torch.ones_like(images)
    survived, perturbation = pgd(
        trained, images, labels, start, epsilon=0.0, step=0.1, steps=3, objective=objective
    )
    clean = trained(images).argmax(1) == labels
    assert 0 < clean.sum() < len(labels)
    assert torch.equal(survived, clean)
    assert not perturbation.any()


def test_an_image_that_is_wrong_from_the_start_counts_as_broken_though_an_attack_could_mend_it():
    # a step of negative length mends what a positive one breaks: it would lead to a right answer
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False)).eval()
    model[1].weight.data = torch.tensor([[0.0], [1.0]])
    image, label = torch.full((1, 1, 1, 1), 0.5), torch.tensor([0])
    survived, perturbation = pgd(
        model, image, label, torch.zeros_like(image), epsilon=0.5, step=-0.5, steps=1
    )
    assert not survived.any()
    assert not perturbation.any()


@OBJECTIVES
def test_the_split_into_batches_does_not_matter(trained, digit_images, objective):
    images, labels = digit_images
    start = random_start(images, 0.06, seed=0)
    how = {"epsilon": 0.06, "step": 0.015, "steps": 4, "objective": objective}
    whole, _ = pgd(trained, images, labels, start, **how)
    parts = [
        pgd(trained, *part, **how)[0]
        for part in zip(images.split(7), labels.split(7), start.split(7), strict=True)
    ]
    assert torch.equal(torch.cat(parts), whole)


@OBJECTIVES
def test_it_leaves_model_and_inputs_as_they_were(trained, digit_images, objective):
    images, labels = digit_images
    start = random_start(images, 0.2, seed=0)
    before = copy.deepcopy((trained.state_dict(), images, labels, start))
    pgd(trained, images, labels, start, epsilon=0.1, step=0.05, steps=3, objective=objective)
    after = (trained.state_dict(), images, labels, start)
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert all(weight.grad is None for weight in trained.parameters())


def test_it_refuses_a_model_in_train_mode(trained, digit_images):
    images, labels = digit_images
    model = copy.deepcopy(trained).train()
    with pytest.raises(AssertionError, match="eval mode"):
        pgd(model, images, labels, images, epsilon=0.1, step=0.1, steps=1)


def test_the_start_is_the_same_for_a_seed_and_another_for_another():
    images = torch.zeros(4, 1, 8, 8)
    one, again, other = (random_start(images, 0.1, seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_the_start_fills_the_ball_evenly():
    start = random_start(torch.zeros(100, 1, 10, 10), 0.1, seed=0)
    assert start.abs().max() <= 0.1
    assert start.abs().max() > 0.0999
    assert abs(start.mean()) < 0.002
    assert abs(start.std() - 0.1 / 3**0.5) < 0.002
