"""How large the tensors are that a call makes."""

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Sizes(TorchDispatchMode):
    """Notes the bytes of each storage that an operation makes, views left out."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        given = [*tree_leaves((arguments, options))]
        known = {one.untyped_storage().data_ptr() for one in given if isinstance(one, Tensor)}
        result = function(*arguments, **(options or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if storage.data_ptr() not in known:
                    self.found.append(storage.nbytes())
        return result


def largest(call):
    """Return the bytes of all tensors that a call made, the largest first."""
    with _Sizes() as sizes:
        call()
    return sorted(sizes.found, reverse=True)
