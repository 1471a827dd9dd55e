"""Batches of an epoch: as torch splits them, but no last batch of a single image."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regmix.data.digits import digits
from regmix.images import Images, Split
from regmix.training.batches import in_batches, smallest_batch
from regmix.training.trainer import RegMixTrainer


@given(st.integers(1, 200), st.integers(1, 60))
def test_nothing_is_lost_and_only_a_single_leftover_is_moved(count, size):
    order = torch.randperm(count)
    batches, plain = in_batches(order, size), order.split(size)
    assert torch.equal(torch.cat(batches), order)
    sizes = [len(batch) for batch in batches]
    assert min(sizes) == smallest_batch(count, size)
    if size == 1 or count == 1:
        assert set(sizes) == {1}
    else:
        assert min(sizes) > 1
    if count % size != 1:
        assert sizes == [len(batch) for batch in plain]
    assert max(sizes) <= size + 1


@pytest.mark.parametrize("size", [12, 83])
def test_997_images_train_with_a_network_that_pools_to_one_value(configure, size):
    part = digits("train").take(torch.arange(997).numpy())
    tiny = Images(part.images[:, :, ::4, ::4].copy(), part.labels, part.classes)  # 2x2 pixels
    config = configure(batch_size=size, epochs=1, valid_images=9)
    valid = tiny.take(torch.arange(9).numpy())
    (metrics,) = RegMixTrainer(config, Split(tiny, valid), torch.device("cpu")).epochs()
    assert metrics.epoch == 1


def test_a_run_with_a_joined_batch_resumes_to_the_same_bits(configure, tiny_split):
    config = configure(batch_size=47, epochs=2, loss="regmix")  # 48 images: 47 and 1
    whole = RegMixTrainer(config, tiny_split, torch.device("cpu"))
    list(whole.epochs())
    begun, again = (RegMixTrainer(config, tiny_split, torch.device("cpu")) for _ in range(2))
    list(begun.epochs(until=1))
    again.load_state_dict(begun.state_dict())
    list(again.epochs())
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name])
