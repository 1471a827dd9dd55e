"""Files of a trial: a checkpoint to go on from, and the weights that are judged.

Both are written whole or not at all, and nothing that could execute is ever read.
"""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regmix import atomic
from regmix.errors import InputError


def save(state: dict[str, Any], path: Path) -> None:
    """Write tensors, numbers, text and containers of them."""
    atomic.write(path, lambda temporary: torch.save(state, temporary))


def load(path: Path) -> dict[str, Any] | None:
    """Return what `save` wrote, on the CPU; None where there is no file or it is damaged."""
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError):
        return None
    return state


def save_weights(weights: dict[str, Tensor], path: Path) -> None:
    """Write a model's `state_dict` as safetensors."""
    from safetensors.torch import save_file

    tensors = {name: tensor.contiguous().cpu() for name, tensor in weights.items()}
    atomic.write(path, lambda temporary: save_file(tensors, temporary))


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
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: can't be read as weights ({reason}); export again") from None
    return weights
