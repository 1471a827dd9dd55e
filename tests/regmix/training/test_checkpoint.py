import errno
import io
import pickle

import pytest
import torch
from torch import nn

from regmix.errors import InputError
from regmix.training import checkpoint

STATE = {
    "epoch": 3,
    "weights": {"a": torch.arange(50.0), "b": torch.tensor([1, -2], dtype=torch.float16)},
    "lists": [1, 2.5, "text", None, True],
    "nothing": None,
}


def test_a_state_comes_back_as_it_was():
    state = checkpoint.unpack(bytes(checkpoint.pack(STATE)))
    weights = state.pop("weights")
    torch.testing.assert_close(weights, STATE["weights"], rtol=0, atol=0)
    assert state == {key: value for key, value in STATE.items() if key != "weights"}


class Refusing(io.RawIOBase):
    """A file on a disk that is full after so many bytes."""

    def __init__(self, room):
        self.room = room

    def write(self, content):
        self.room -= len(content)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return len(content)


@pytest.mark.parametrize("room", [0, 100, 1000])
def test_a_full_disk_is_told_as_what_it_is(room):
    with pytest.raises(OSError, match="No space left") as told:
        checkpoint.dump(STATE, Refusing(room))
    assert told.value.errno == errno.ENOSPC


def test_content_cut_short_anywhere_is_no_state():
    whole = bytes(checkpoint.pack(STATE))
    for length in range(0, len(whole), 50):
        assert checkpoint.unpack(whole[:length]) is None


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_flipped_bit_in_its_structure_is_no_state_or_a_state_but_never_an_error():
    whole = bytes(checkpoint.pack(STATE))
    generator = torch.Generator().manual_seed(0)
    structure = whole.index(b"data.pkl"), whole.index(b"data/0")  # beyond lie numbers
    damaged = 0
    for place in torch.randint(*structure, (400,), generator=generator).tolist():
        bit = 1 << int(torch.randint(8, (), generator=generator))
        flipped = whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
        damaged += checkpoint.unpack(flipped) is None
    assert damaged > 100


class Trap:
    """Pickles as a call that leaves a file behind when it is loaded."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return open, (str(self.place), "w")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("write", [checkpoint.pack, pickle.dumps])
def test_nothing_in_it_is_executed(tmp_path, write):
    content = bytes(write({"epoch": 1, "trap": Trap(tmp_path / "sprung")}))
    assert checkpoint.unpack(content) is None
    assert not (tmp_path / "sprung").exists()


def test_a_state_that_holds_a_function_cannot_be_packed():
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        checkpoint.pack({"epoch": 2, "function": lambda: None})


def test_saving_weights_again_replaces_the_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "weights.safetensors"
    for value in (1.0, 2.0):
        checkpoint.save_weights({"weight": torch.tensor(value)}, path)
    assert checkpoint.load_weights(path) == {"weight": torch.tensor(2.0)}
    assert list(tmp_path.iterdir()) == [path]


def test_weights_come_back_as_they_were(tmp_path):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    checkpoint.save_weights(model.state_dict(), tmp_path / "weights.safetensors")
    weights = checkpoint.load_weights(tmp_path / "weights.safetensors")
    torch.testing.assert_close(weights, dict(model.state_dict()), rtol=0, atol=0)


def test_weights_of_any_memory_layout_can_be_written(tmp_path):
    turned = torch.arange(6.0).view(2, 3).T
    checkpoint.save_weights({"turned": turned}, tmp_path / "weights.safetensors")
    weights = checkpoint.load_weights(tmp_path / "weights.safetensors")
    assert torch.equal(weights["turned"], turned)


@pytest.mark.parametrize("content", [None, b"", b"no weights", b"\xff" * 100])
def test_missing_or_damaged_weights_are_named_with_the_remedy(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="restore it") as told:
        checkpoint.load_weights(path)
    assert str(told.value).startswith(f"{path}: can't be read")
    assert "\n" not in str(told.value)
