import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regmix.training import perturbation_memory
from regmix.training.augment import Crop
from regmix.training.perturbation_memory import PerturbationMemory
from tests.support.regmix.allocations import largest

# Powers of two throughout, so that half precision and hand computation are both exact.
EPSILON, STEP = 0.25, 0.125


def build(count=2, shape=(1, 1, 2), **changes):
    how = {
        "epsilon": EPSILON,
        "step": STEP,
        "momentum_decay": 0.5,
        "momentum_rule": "norm",
        "reset_interval": 3,
        "device": torch.device("cpu"),
    }
    return PerturbationMemory(count, shape, **{**how, **changes})


def images(*values):
    return torch.tensor(values).view(-1, 1, 1, 2)


def keep(memory, index, pictures, start, gradient, correct=(1, 1), crop=None):
    memory.keep(index, pictures, start, gradient, correct=torch.tensor(correct), crop=crop)


def test_two_steps_of_the_recurrence_by_hand():
    memory, both, grey = build(), torch.tensor([0, 1]), images([0.5, 0.5], [0.5, 0.5])

    # mean |g| = 2 over the batch, so m = g / 2 = [1, -1], [0, 2]; d = 0 + 1/8 sign(m)
    start = memory.recall(both)
    assert not start.any()
    keep(memory, both, grey, start, images([2.0, -2.0], [0.0, 4.0]))
    assert memory.momentum.view(2, 2).tolist() == [[1, -1], [0, 2]]
    assert memory.recall(both).view(2, 2).tolist() == [[0.125, -0.125], [0, 0.125]]

    # mean |g| = 1: m = g + m / 2; the old momentum outvotes -0.25 + 0.5 but not 2 - 0.5
    keep(memory, both, grey, memory.recall(both), images([-0.25, 2.0], [0.75, -1.0]))
    assert memory.momentum.view(2, 2).tolist() == [[0.25, 1.5], [0.75, 0]]
    assert memory.recall(both).view(2, 2).tolist() == [[0.25, 0], [0.125, 0.125]]


def test_the_ball_and_the_box_stop_a_step():
    memory, both = build(step=1.0), torch.tensor([0, 1])
    close_to_the_faces = images([0.5, 0.875], [0.0625, 0.5])
    keep(memory, both, close_to_the_faces, memory.recall(both), images([1.0, 1.0], [-1.0, -1.0]))
    assert memory.recall(both).view(2, 2).tolist() == [[0.25, 0.125], [-0.0625, -0.25]]


@pytest.mark.parametrize("factor", [2.0**-60, 2.0**20])
def test_the_scale_of_the_gradient_does_not_matter(factor):
    gradient = images([2.0, -2.0], [0.0, 4.0])
    memories = []
    for scale in (1.0, factor):
        memory, both = build(), torch.tensor([0, 1])
        keep(memory, both, images([0.5] * 2, [0.5] * 2), memory.recall(both), scale * gradient)
        memories.append(memory.state_dict())
    torch.testing.assert_close(*memories, rtol=0, atol=0)


def test_a_gradient_of_zeros_leaves_the_start_and_no_nan():
    memory, both = build(), torch.tensor([0, 1])
    start = images([0.125, -0.25], [0.0, 0.25])
    keep(memory, both, images([0.5] * 2, [0.5] * 2), start, torch.zeros(2, 1, 1, 2))
    torch.testing.assert_close(memory.recall(both), start, rtol=0, atol=0)
    assert not memory.momentum.any()


def test_a_lonely_pixel_cannot_overflow_the_momentum():
    memory = build(count=1, shape=(1, 400, 400))
    gradient, index = torch.zeros(1, 1, 400, 400), torch.tensor([0])
    gradient[0, 0, 0, 0] = 1.0  # 160,000 times the mean, above what half precision holds
    keep(memory, index, torch.full_like(gradient, 0.5), memory.recall(index), gradient)
    assert memory.momentum.isfinite().all()
    assert memory.recall(index)[0, 0, 0, 0] == STEP


def at_epoch(epoch):
    memory = build(count=50)
    memory.perturbation.fill_(0.125)
    memory.momentum.fill_(1.0)
    memory.begin_epoch(epoch, torch.Generator().manual_seed(0))
    return memory


@pytest.mark.parametrize("epoch", [0, 3, 6])
def test_every_interval_all_images_start_again_from_a_corner_without_momentum(epoch):
    memory = at_epoch(epoch)
    start = memory.recall(torch.arange(50))
    assert set(start.flatten().tolist()) == {-EPSILON, EPSILON}
    assert 30 < (start > 0).sum() < 70  # of 100: both signs are as likely
    assert not memory.momentum.any()


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_between_intervals_all_images_keep_their_history(epoch):
    memory = at_epoch(epoch)
    assert set(memory.recall(torch.arange(50)).flatten().tolist()) == {0.125}
    assert set(memory.momentum.flatten().tolist()) == {1.0}


def test_corners_follow_from_the_generator():
    corners = []
    for seed in (0, 0, 1):
        memory = build(count=20)
        memory.begin_epoch(0, torch.Generator().manual_seed(seed))
        corners.append(memory.recall(torch.arange(20)))
    assert torch.equal(corners[0], corners[1])
    assert not torch.equal(corners[0], corners[2])


@pytest.mark.parametrize("slice_", [1, 5, 7, 16, 1 << 22])
def test_corners_drawn_in_slices_are_those_of_one_draw(monkeypatch, slice_):
    monkeypatch.setattr(perturbation_memory, "_SLICE", slice_)
    memory, shape = build(count=37, shape=(3, 2, 1)), (37, 3, 2, 1)
    generator, other = (torch.Generator().manual_seed(4) for _ in range(2))
    for _ in range(2):
        memory.begin_epoch(0, generator)
        corners = EPSILON * (torch.rand(shape, generator=other) - 0.5).sign()
        assert torch.equal(memory.perturbation, corners.half())
    assert torch.equal(generator.get_state(), other.get_state())


def test_a_reset_makes_no_copy_of_the_memory():
    memory = build(count=3000, shape=(3, 32, 32))
    made = largest(lambda: memory.begin_epoch(0, torch.Generator().manual_seed(0)))
    assert made[0] <= 4 * perturbation_memory._SLICE < memory.perturbation.nbytes


@given(epsilon=st.floats(1e-4, 1), seed=st.integers(0, 2**32))
def test_what_is_recalled_lies_in_the_ball_whatever_half_precision_does(epsilon, seed):
    generator = torch.Generator().manual_seed(seed)
    memory = build(count=4, epsilon=epsilon, step=epsilon)
    memory.begin_epoch(0, generator)
    index = torch.arange(4)
    for _ in range(3):
        start = memory.recall(index)
        assert start.dtype == torch.float32
        assert start.abs().max() <= epsilon + 1e-9
        random = torch.randn(start.shape, generator=generator)
        keep(memory, index, torch.rand(start.shape, generator=generator), start, random)


def test_images_outside_the_batch_keep_theirs():
    memory, generator = build(count=6), torch.Generator().manual_seed(0)
    memory.begin_epoch(0, generator)
    memory.momentum.fill_(0.5)
    before = {name: buffer.clone() for name, buffer in memory.state_dict().items()}
    touched, others = torch.tensor([4, 1]), torch.tensor([0, 2, 3, 5])
    random = torch.randn(2, 1, 1, 2, generator=generator)
    keep(memory, touched, images([0.5] * 2, [0.5] * 2), memory.recall(touched), random)
    for name, buffer in memory.state_dict().items():
        assert torch.equal(buffer[others], before[name][others])
        assert not torch.equal(buffer[touched], before[name][touched])


def test_an_index_in_any_order_finds_its_own_image():
    memory = build(count=3)
    memory.perturbation.copy_(torch.tensor([0.0, 0.125, 0.25]).view(3, 1, 1, 1))
    assert memory.recall(torch.tensor([2, 0])).flatten().tolist() == [0.25, 0.25, 0, 0]


def test_its_state_goes_into_another_and_is_then_its_own():
    memory, other, index = build(), build(), torch.tensor([0, 1])
    memory.begin_epoch(0, torch.Generator().manual_seed(0))
    memory.momentum.fill_(0.5)
    other.load_state_dict(memory.state_dict())
    torch.testing.assert_close(other.state_dict(), memory.state_dict(), rtol=0, atol=0)
    memory.perturbation.zero_()
    assert other.recall(index).abs().min() == EPSILON


def test_by_sign_every_new_gradient_counts_one():
    memory, both, grey = (
        build(momentum_rule="sign"),
        torch.tensor([0, 1]),
        torch.full((2, 1, 1, 2), 0.5),
    )
    keep(memory, both, grey, memory.recall(both), images([2.0, -3.0], [0.0, 4.0]))
    assert memory.momentum.view(2, 2).tolist() == [[1, -1], [0, 1]]
    keep(memory, both, grey, memory.recall(both), images([-9.0, -0.25], [-1.0, -1.0]))
    assert memory.momentum.view(2, 2).tolist() == [[-0.5, -1.5], [-1, -0.5]]
    assert memory.recall(both).view(2, 2).tolist() == [[0, -0.25], [-0.125, 0]]


@pytest.mark.parametrize(
    ("correct", "weight"),
    [
        ((4, 4), 1.0),  # fooled nobody: as the plain rule
        ((4, 2), 1.5),
        ((4, 0), 2.0),  # fooled all
        ((2, 3), 0.5),
        ((1, 4), 0.0),  # never against itself
        ((0, 1), 1.0),  # none was correct at first: counted as one
        ((0, 0), 2.0),
    ],
)
def test_by_success_a_gradient_weighs_as_many_as_it_fooled(correct, weight):
    memory, both, grey = (
        build(momentum_rule="success"),
        torch.tensor([0, 1]),
        images([0.5] * 2, [0.5] * 2),
    )
    memory.momentum.fill_(4.0)
    keep(memory, both, grey, memory.recall(both), images([2.0, -2.0], [0.0, 4.0]), correct)
    expected = [[2 + weight, 2 - weight], [2, 2 + 2 * weight]]
    assert memory.momentum.view(2, 2).tolist() == expected


@pytest.mark.parametrize("rule", ["norm", "sign"])
def test_other_rules_do_not_ask_who_was_fooled(rule):
    states = []
    for correct in ((4, 0), (1, 4)):
        memory, both = build(momentum_rule=rule), torch.tensor([0, 1])
        gradient = images([2.0, -2.0], [0.0, 4.0])
        keep(memory, both, images([0.5] * 2, [0.5] * 2), memory.recall(both), gradient, correct)
        states.append(memory.state_dict())
    torch.testing.assert_close(*states, rtol=0, atol=0)


# One row of 8 pixels has a margin of one: shifted to the left by it, then mirrored.
MIRRORED = Crop(rows=torch.tensor([[0]]), columns=torch.arange(7, -1, -1)[None])


def test_with_a_crop_the_start_is_moved_as_the_image_is():
    memory, first = build(count=1, shape=(1, 1, 8)), torch.tensor([0])
    memory.perturbation.copy_(torch.arange(8.0).view(1, 1, 1, 8) / 64)
    seen = memory.recall(first, MIRRORED) * 64
    assert seen.flatten().tolist() == [6, 5, 4, 3, 2, 1, 0, 0]


def test_with_a_crop_the_history_is_kept_where_the_image_has_its_pixels():
    memory, first = build(count=1, shape=(1, 1, 8)), torch.tensor([0])
    memory.momentum.copy_(torch.tensor([0.0, 0, 0, 0, 0, 0, -8, 6]).view(1, 1, 1, 8))
    gradient = torch.tensor([1.0, 1, 1, 1, -1, -1, 1, 1]).view(1, 1, 1, 8)
    start, grey = memory.recall(first, MIRRORED), torch.full((1, 1, 1, 8), 0.5)
    keep(memory, first, grey, start, gradient, crop=MIRRORED)
    # pixel 7 was not in the crop and keeps its momentum; the crop's last pixel is of no image
    assert memory.momentum.flatten().tolist() == [1, -1, -1, 1, 1, 1, -3, 6]
    moved = memory.recall(first) / STEP
    assert moved.flatten().tolist() == [1, -1, -1, 1, 1, 1, -1, 0]
