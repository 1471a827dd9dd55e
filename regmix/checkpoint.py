"""Files of a trial: a checkpoint to go on from, and the weights that are judged.

Both are written under another name first and then renamed: a kill leaves the old file or the
new one, never half of one. Nothing that could execute is ever read.
"""

import contextlib
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regmix.errors import InputError


def save(state: dict[str, Any], path: Path) -> None:
    """Write tensors, numbers, text and containers of them."""
    _atomically(path, lambda temporary: torch.save(state, temporary))


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
    _atomically(path, lambda temporary: save_file(tensors, temporary))


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


def _atomically(path: Path, write: Callable[[Path], object]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    try:
        write(Path(name))
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
