"""What a trial keeps: a checkpoint to go on from, and the weights that are evaluated.

Nothing that could execute is ever read.
"""

import copy
import io
import pickle
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from regmix import atomic
from regmix.errors import InputError, cut, first_line
from regmix.finite import constants, overflowed
from regmix.training import codebook
from regmix.user_files import regular_file

# What torch raises depends on which byte of a file is wrong.
_DAMAGED = (
    OSError,
    EOFError,
    RuntimeError,
    pickle.UnpicklingError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)


def copied(state: Any) -> Any:  # noqa: ANN401  (tensors, numbers, text, containers of them)
    """Return a copy of a state on the CPU, which training on does not change.

    The copy is what is written, so it is made as small as it can be without a loss: see
    `codebook.encode`. It is the only one: `dump` writes it as it lies in memory.
    """
    if isinstance(state, Tensor):
        coded = codebook.encode(state) if state.dtype == torch.float16 else None
        return state.detach().to("cpu", copy=True) if coded is None else coded
    if isinstance(state, dict):
        result = copy.copy(state)  # a model's state_dict carries versions of its modules
        result.update((key, copied(value)) for key, value in state.items())
        return result
    return type(state)(map(copied, state)) if isinstance(state, list | tuple) else state


def dump(state: dict[str, Any], stream: IO[bytes]) -> None:
    """Write what `copied` returned to a stream.

    Raises:
        OSError: where the stream refuses; torch alone would hide which error it was.
    """
    sink = _Sink(stream)
    torch.save(state, sink)  # type: ignore[arg-type]  # all that it asks of a file
    if sink.error is not None:
        raise sink.error


class _Sink:
    """A stream whose first error is kept, since torch's writer would turn it into another one."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.error: Exception | None = None

    def write(self, content: memoryview) -> int:
        if self.error is None:
            try:
                self._stream.write(content)
            except Exception as error:
                self.error = error
        return len(content)

    def flush(self) -> None:
        """Leave that to whoever closes the stream."""


def pack(state: dict[str, Any]) -> memoryview:
    """Return tensors, numbers, text and containers of them as the content of a file."""
    buffer = io.BytesIO()
    dump(copied(state), buffer)
    return buffer.getbuffer()


def unpack(content: bytes) -> dict[str, Any] | None:
    """Return what `copied` took, on the CPU; None where the content is damaged."""
    try:
        state: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location="cpu", weights_only=True
        )
        state = codebook.decoded(state)
    except _DAMAGED:
        return None
    return state


def pack_weights(weights: dict[str, Tensor]) -> bytes:
    """Return a model's `state_dict` as the content of a safetensors file."""
    from safetensors.torch import save as serialized

    # copies: a network may use one tensor under two names, which the format can't say
    tensors = {name: tensor.contiguous().cpu().clone() for name, tensor in weights.items()}
    return bytes(serialized(tensors))


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write a model's `state_dict` as safetensors, whole or not at all.

    Raises:
        OSError: where the disk is full.
    """
    content = pack_weights(weights)
    atomic.write(path, lambda temporary: temporary.write_bytes(content))


def load_into(model: nn.Module, path: Path) -> None:
    """Load the weights of a file into a fresh network of their kind, to be evaluated.

    Args:
        model: network as it was built.
        path: file of safetensors.

    Raises:
        InputError: where the file is missing or damaged, does not hold just the network's tensors
            with their shapes and types, or one of them is not finite.
    """
    given, own = load_weights(path), model.state_dict()
    for name in sorted(given.keys() ^ own.keys()):
        how = "does not know" if name in given else "also needs"
        raise InputError(
            f"{path}: the network {how} the tensor {cut(name)}; restore the file, or export again"
        )
    for name, tensor in given.items():
        found, asked = (f"{x.dtype} of shape {tuple(x.shape)}" for x in (tensor, own[name]))
        if found != asked:
            raise InputError(
                f"{path}: the tensor {cut(name)} must be {asked}, but is {found}; restore the "
                "file, or export again"
            )
    bad = overflowed(given, constants(model))
    if bad is not None:
        raise InputError(
            f"{path}: the tensor {cut(bad)} holds NaN or infinity, so the run has diverged; "
            "evaluate another one"
        )
    model.load_state_dict(given)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a `state_dict` from safetensors, whatever it holds; see `load_into`.

    Raises:
        InputError: where the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    regular_file(path, "restore it")
    try:
        weights: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: can't be read as weights ({first_line(error)}); restore it"
        ) from None
    return weights
