"""Where the tensors of a network lie: what is trained, what follows from it, what only counts."""

import copy

import torch
from torch import Tensor, nn

from regmix.finite import constants
from regmix.training.buffers import Buffers


class Layout:
    """A network's tensors in three groups, each in a few buffers.

    weights: what the optimiser moves.
    following: other real numbers, such as running statistics and frozen weights.
    counters: of which no mean can be taken: integers, and tensors that are meant to be infinite.
    """

    def __init__(self, network: nn.Module, *, flat: bool) -> None:
        """Group the tensors of a network's `state_dict`, and move them together.

        Args:
            network: network that will be trained.
            flat: see `Buffers`; a network with two tensors in one memory stays as it is.
        """
        names, self._network = _names(network), network
        flat = flat and len({t.untyped_storage()._cdata for t in names.values()}) == len(names)
        infinite = constants(network).keys()
        kinds: dict[str, list[str]] = {"weights": [], "following": [], "counters": []}
        for name, tensor in names.items():
            if not tensor.is_floating_point() or name in infinite:
                kinds["counters"].append(name)
            elif tensor.requires_grad:
                kinds["weights"].append(name)
            else:
                kinds["following"].append(name)
        self._kinds = kinds
        self.weights, self.following, self.counters = (
            Buffers([names[name] for name in kind], flat=flat) for kind in kinds.values()
        )
        self._registered = _registered(network, names)

    def twin(self) -> "Layout":
        """Return a copy of the network in eval mode, without gradients, in the same layout."""
        twin = object.__new__(Layout)
        twin._network = copy.deepcopy(self._network).eval().requires_grad_(False)
        twin._kinds = self._kinds
        names = _names(twin._network)
        twin.weights, twin.following, twin.counters = (
            own.like([names[name] for name in kind])
            for own, kind in zip(
                (self.weights, self.following, self.counters), self._kinds.values(), strict=True
            )
        )
        twin._registered = _registered(twin._network, names)
        return twin

    @property
    def network(self) -> nn.Module:
        """The network whose tensors these are."""
        return self._network

    @property
    def device(self) -> torch.device:
        """The device of the network; the CPU where it has no tensor."""
        found = self.all
        return found[0].device if found else torch.device("cpu")

    @property
    def real(self) -> list[Tensor]:
        """The buffers of all real numbers."""
        return self.weights.pieces + self.following.pieces

    @property
    def all(self) -> list[Tensor]:
        """All buffers."""
        return [*self.real, *self.counters.pieces]

    @torch.no_grad()
    def gather(self) -> None:
        """Take back into their places the buffers that a network's own code has put anew."""
        for module, name, own in self._registered:
            present = module._buffers[name]
            if present is not own and present is not None:
                own.copy_(present)
                module._buffers[name] = own

    def snapshot(self) -> list[Tensor]:
        """Return copies of what a forward pass may change: all but the weights."""
        return [piece.clone() for piece in self._passing]

    @torch.no_grad()
    def restore(self, kept: list[Tensor], unless: Tensor) -> None:
        """Undo all forward passes since `snapshot` where `unless`, () bool, is False."""
        self.gather()
        for piece, before in zip(self._passing, kept, strict=True):
            piece.copy_(torch.where(unless, piece, before))

    @property
    def _passing(self) -> list[Tensor]:
        return self.following.pieces + self.counters.pieces


def _names(network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of a `state_dict` by name, each once: weights may be shared."""
    seen: dict[int, str] = {}
    state = network.state_dict(keep_vars=True)
    for name, tensor in state.items():
        seen.setdefault(id(tensor), name)
    return {name: state[name] for name in seen.values()}


def _registered(
    network: nn.Module, names: dict[str, Tensor]
) -> list[tuple[nn.Module, str, Tensor]]:
    known = {id(tensor) for tensor in names.values()}
    return [
        (module, name, buffer)
        for module in network.modules()
        for name, buffer in module._buffers.items()
        if id(buffer) in known and buffer is not None
    ]
