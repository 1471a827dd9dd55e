"""Half-precision tensors of few distinct numbers as one byte each, without a loss."""

from typing import Any

import torch
from torch import Tensor

_CODES, _NUMBERS = "codes of fp16", "numbers of fp16"
_PATTERNS, _MOST = 1 << 16, 1 << 8
_SLICE = 1 << 18  # elements that are looked at at once: their indices fit into the cache


def encode(tensor: Tensor) -> dict[str, Tensor] | None:
    """Return the tensor as codes and the table of its numbers, both on the CPU.

    The perturbations of a memory are such: after a reset they have two values, and each epoch
    steps by one length, cut by ball and box. Bit patterns are compared, so that -0 stays -0.

    Args:
        tensor: fp16, of any shape and on any device.

    Returns:
        {codes: uint8 of the tensor's shape, numbers: (K,) fp16}; None where it holds more than 256
        numbers.
    """
    tensor = tensor if _dense(tensor) else tensor.contiguous()
    counts = torch.zeros(_PATTERNS, dtype=torch.int64, device=tensor.device)
    for part in _parts(tensor):
        counts += torch.bincount(_patterns(part), minlength=_PATTERNS)
        if int(counts.count_nonzero()) > _MOST:
            return None
    found = counts.nonzero().flatten()
    code_of = torch.zeros(_PATTERNS, dtype=torch.uint8, device=tensor.device)
    code_of[found] = torch.arange(len(found), dtype=torch.uint8, device=tensor.device)
    codes = torch.empty_like(tensor, dtype=torch.uint8, device="cpu")
    for part, place in zip(_parts(tensor), _parts(codes), strict=True):
        place.copy_(code_of.index_select(0, _patterns(part)))
    return {_CODES: codes, _NUMBERS: found.short().view(torch.float16).cpu()}


def decoded(state: Any) -> Any:  # noqa: ANN401  (tensors, numbers, text, containers of them)
    """Return a state with the tensors that `encode` was given, wherever its codes are."""
    if isinstance(state, dict):
        if state.keys() == {_CODES, _NUMBERS}:
            return _decode(state[_CODES], state[_NUMBERS])
        state.update((key, decoded(value)) for key, value in state.items())
        return state
    return type(state)(map(decoded, state)) if isinstance(state, list | tuple) else state


def _decode(codes: Tensor, numbers: Tensor) -> Tensor:
    result = torch.empty_like(codes, dtype=torch.float16)
    for part, place in zip(_parts(codes), _parts(result), strict=True):
        place.copy_(numbers.index_select(0, part.int()))
    return result


def _dense(tensor: Tensor) -> bool:
    channels_last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return channels_last or tensor.is_contiguous()


def _parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """Return views of a dense tensor's elements, as they follow each other in memory."""
    parts: tuple[Tensor, ...] = tensor.as_strided((tensor.numel(),), (1,)).split(_SLICE)
    return parts


def _patterns(part: Tensor) -> Tensor:
    """Return the bit patterns of fp16 numbers as indices in [0, 65536)."""
    return part.view(torch.int16).int().bitwise_and_(_PATTERNS - 1)
