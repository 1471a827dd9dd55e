import pytest
import torch

from regmix.evaluation.batching import among, batched


class Device:
    """Answers whether an image's number is even, for parts that fit into its memory."""

    def __init__(self, room):
        self.room, self.tried = room, []

    def __call__(self, part):
        self.tried.append(part.tolist())
        if len(part) > self.room:
            raise torch.OutOfMemoryError
        return part % 2 == 0


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10, 99])
def test_answers_keep_the_order_of_the_index(batch_size):
    index = torch.tensor([7, 2, 2, 9, 4, 0, 5, 6, 1, 8])
    device = Device(room=99)
    assert torch.equal(batched(device, index, batch_size), index % 2 == 0)
    assert sum(device.tried, []) == index.tolist()
    assert {len(part) for part in device.tried[:-1]} <= {batch_size}
    assert len(device.tried) == -(-10 // batch_size)


def test_where_memory_runs_out_the_part_is_halved_and_stays_so():
    device = Device(room=3)
    index = torch.arange(10, 20)
    assert torch.equal(batched(device, index, 8), index % 2 == 0)
    assert [len(part) for part in device.tried] == [8, 4, 2, 2, 2, 2, 2]


def test_what_was_answered_before_memory_ran_out_is_not_asked_again():
    class Filling(Device):
        def __call__(self, part):
            self.room = 2 if self.tried else 4
            return super().__call__(part)

    device, index = Filling(room=4), torch.arange(8)
    assert torch.equal(batched(device, index, 4), index % 2 == 0)
    assert device.tried == [[0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [6, 7]]


def test_an_odd_size_is_halved_down_to_one():
    device = Device(room=1)
    index = torch.arange(5)
    assert torch.equal(batched(device, index, 5), index % 2 == 0)
    assert [len(part) for part in device.tried] == [5, 2, 1, 1, 1, 1, 1]


def test_where_one_image_is_too_much_the_error_is_told():
    device = Device(room=0)
    with pytest.raises(torch.OutOfMemoryError):
        batched(device, torch.arange(6), 4)
    assert [len(part) for part in device.tried] == [4, 2, 1]


def test_any_other_error_is_not_taken_for_a_lack_of_memory():
    sizes = []

    def run(part):
        sizes.append(len(part))
        raise RuntimeError("shapes don't fit")

    with pytest.raises(RuntimeError, match="shapes"):
        batched(run, torch.arange(6), 4)
    assert sizes == [4]


def test_no_images_have_no_answers():
    device = Device(room=99)
    answers = batched(device, torch.arange(0), 4)
    assert answers.dtype == torch.bool
    assert answers.shape == (0,)
    assert device.tried == []


def test_only_the_images_that_are_chosen_are_asked_about():
    asked = []

    def run(part):
        asked.extend(part.tolist())
        return part % 2 == 0

    some = torch.tensor([True, False, True, True, False, True, True])
    assert among(run, some, 2).tolist() == [True, False, True, False, False, False, True]
    assert asked == [0, 2, 3, 5, 6]
    assert not among(run, torch.zeros(3, dtype=torch.bool), 2).any() and len(asked) == 5
