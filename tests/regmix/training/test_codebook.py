"""Half-precision numbers as codes: exact, of one byte each, and without large copies."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from regmix.training import codebook
from tests.support.regmix.allocations import largest

BITS = torch.arange(-(2**15), 2**15).short()


def bits(tensor):
    return tensor.view(torch.int16)


@given(
    patterns=st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=256),
    shape=st.sampled_from([(), (0,), (7,), (3, 2, 4, 4), (300, 3)]),
    seed=st.integers(0, 2**32),
)
def test_few_numbers_of_any_kind_come_back_bit_by_bit(patterns, shape, seed):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(patterns), shape, generator=generator)
    tensor = torch.tensor(patterns).short()[drawn].view(torch.float16)
    coded = codebook.encode(tensor)
    assert {part.dtype for part in coded.values()} <= {torch.uint8, torch.float16}
    back = codebook.decoded({"a": [coded]})["a"][0]
    assert back.shape == tensor.shape
    assert torch.equal(bits(back), bits(tensor))


def test_there_are_256_codes_and_no_more():
    assert codebook.encode(BITS[:256].view(torch.float16)) is not None
    assert codebook.encode(BITS[:257].view(torch.float16)) is None


@pytest.mark.parametrize("turned", [False, True])
def test_any_layout_in_memory_comes_back(monkeypatch, turned):
    monkeypatch.setattr(codebook, "_SLICE", 7)
    tensor = (torch.arange(48) % 5).half().view(2, 3, 2, 4)
    tensor = tensor.to(memory_format=torch.channels_last) if not turned else tensor.transpose(0, 3)
    back = codebook.decoded(codebook.encode(tensor))
    assert torch.equal(back, tensor)


def test_codes_without_a_number_are_an_error_that_a_reader_expects():
    coded = codebook.encode(torch.tensor([0.5, 1.0]).half())
    coded["codes of fp16"] += 1
    with pytest.raises((LookupError, RuntimeError)):
        codebook.decoded(coded)


def test_no_copy_is_made_but_the_codes():
    tensor = torch.zeros(3_000_000, dtype=torch.float16)
    sizes = largest(lambda: codebook.encode(tensor))
    assert sizes[0] == 3_000_000  # the codes
    assert sizes[1] <= 4 * codebook._SLICE


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_on_a_card_the_codes_and_the_copy_are_those_of_the_host():
    tensor = (torch.arange(3 * codebook._SLICE) % 19 / 7).half().view(3, -1)
    coded = codebook.encode(tensor.cuda())
    assert {part.device.type for part in coded.values()} == {"cpu"}
    assert torch.equal(codebook.decoded(coded), tensor)
    assert codebook.encode(torch.randn(codebook._SLICE, device="cuda").half()) is None
