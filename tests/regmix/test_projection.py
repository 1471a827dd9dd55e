import torch
from hypothesis import given
from hypothesis import strategies as st

from regmix.projection import project


def draw(seed, reach):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(3, 1, 4, 4, generator=generator)
    images[0].round_()  # pixels on the box's faces
    return images, reach * torch.randn(images.shape, generator=generator)


CASES = given(seed=st.integers(0, 2**32), epsilon=st.floats(0, 1), reach=st.floats(0, 3))


@CASES
def test_the_result_lies_in_the_ball_and_in_the_box(seed, epsilon, reach):
    images, perturbation = draw(seed, reach)
    result = project(perturbation, images, epsilon)
    assert result.abs().max() <= epsilon + 1e-6
    assert (images + result).min() >= 0
    assert (images + result).max() <= 1


@CASES
def test_projecting_twice_changes_nothing(seed, epsilon, reach):
    images, perturbation = draw(seed, reach)
    once = project(perturbation, images, epsilon)
    torch.testing.assert_close(project(once, images, epsilon), once, rtol=0, atol=0)


@CASES
def test_no_allowed_perturbation_is_nearer(seed, epsilon, reach):
    images, perturbation = draw(seed, reach)
    distance = (project(perturbation, images, epsilon) - perturbation).abs()
    for share in (-1.0, -0.5, 0.0, 0.5, 1.0):
        other = project(torch.full_like(images, share * epsilon), images, epsilon)
        assert ((other - perturbation).abs() >= distance - 1e-6).all()


def test_hand_example():
    images = torch.tensor([0.0, 0.5, 0.875, 1.0])
    perturbation = torch.tensor([-0.25, 0.5, 0.25, 0.25])
    expected = torch.tensor([0.0, 0.25, 0.125, 0.0])
    torch.testing.assert_close(project(perturbation, images, 0.25), expected, rtol=0, atol=0)
