"""What a trial keeps: a checkpoint to go on from, and the weights that are evaluated.

Nothing that could execute is ever read.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regmix import atomic
from regmix.errors import InputError, first_line

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


def pack(state: dict[str, Any]) -> memoryview:
    """Return tensors, numbers, text and containers of them as the content of a file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer()


def unpack(content: bytes) -> dict[str, Any] | None:
    """Return what `pack` took, on the CPU; None where the content is damaged."""
    try:
        state: dict[str, Any] = torch.load(
            io.BytesIO(content), map_location="cpu", weights_only=True
        )
    except _DAMAGED:
        return None
    return state


def pack_weights(weights: dict[str, Tensor]) -> bytes:
    """Return a model's `state_dict` as the content of a safetensors file."""
    from safetensors.torch import save as serialized

    tensors = {name: tensor.contiguous().cpu() for name, tensor in weights.items()}
    return bytes(serialized(tensors))


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write a model's `state_dict` as safetensors, whole or not at all.

    Raises:
        OSError: where the disk is full.
    """
    content = pack_weights(weights)
    atomic.write(path, lambda temporary: temporary.write_bytes(content))


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a `state_dict` from safetensors.

    Raises:
        InputError: where the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: can't be read as weights ({first_line(error)}); restore it"
        ) from None
    return weights
