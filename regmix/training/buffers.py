"""Many tensors in a few buffers, so that what is done to all of them is done at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

_ALIGNED = 64  # bytes, at which vector units and libraries like a tensor to begin


class Buffers:
    """Tensors, and the buffers that hold them: one for each type of number, with gaps of zeros.

    The tensors stay the objects that they were, with shape and strides; only their content moves.
    """

    def __init__(self, tensors: Sequence[Tensor], *, flat: bool) -> None:
        """Move the tensors together.

        Args:
            tensors: of any shapes and types, no two of them in the same memory. One that has gaps
                stays where it is, as a buffer of its own.
            flat: whether to move them; if not, each is a buffer of its own.
        """
        self.tensors = list(tensors)
        groups: dict[object, list[int]] = {}
        for place, tensor in enumerate(tensors):
            joins = flat and _is_dense(tensor)
            groups.setdefault((tensor.dtype, tensor.device) if joins else place, []).append(place)
        self._groups, self._flat = list(groups.values()), flat
        self._strides = [tensor.stride() for tensor in tensors]
        self.pieces = self._gathered(self.tensors)

    def like(self, tensors: Sequence[Tensor]) -> "Buffers":
        """Move other tensors, of the same shapes and types, into buffers of the same order."""
        twin = object.__new__(Buffers)
        twin.tensors, twin._groups, twin._flat = list(tensors), self._groups, self._flat
        twin._strides = self._strides
        twin.pieces = twin._gathered(twin.tensors)
        return twin

    def zeros(self) -> "Buffers":
        """Return zeros in buffers of the same order."""
        return self.like([torch.zeros_like(tensor.detach()) for tensor in self.tensors])

    @torch.no_grad()
    def _gathered(self, tensors: list[Tensor]) -> list[Tensor]:
        pieces = []
        for group in self._groups:
            members = [tensors[place] for place in group]
            if len(group) == 1:
                pieces.append(members[0].detach())
                continue
            step = max(1, _ALIGNED // members[0].element_size())
            room = [-(-tensor.numel() // step) * step for tensor in members]
            piece = members[0].new_zeros(sum(room))
            offset = 0
            for place, tensor, taken in zip(group, members, room, strict=True):
                view = piece.as_strided(tensor.shape, self._strides[place], offset)
                tensor.data = view.copy_(tensor)
                offset += taken
            pieces.append(piece)
        return pieces


def _is_dense(tensor: Tensor) -> bool:
    """Return whether a tensor fills its memory, row by row or with the channels last."""
    whole = tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()
    last = tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)
    return whole and (tensor.is_contiguous() or last)
