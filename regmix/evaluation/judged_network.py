"""A network made ready to be judged: the same answers, sooner.

Judging asks a network a few hundred times at weights that do not change meanwhile, so what follows
from the weights alone is done once; and it asks about ever fewer images, so their number is padded.
"""

import copy
from collections import Counter
from dataclasses import replace

import torch
from torch import Tensor, nn

from regmix.engine import ENGINE, Engine
from regmix.finite import finite

Pairs = tuple[tuple[str, str], ...]
"""Names of convolutions, each with that of the batch norm which alone sees its output."""

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_ROUNDING = 1e-4
"""Difference of two logits, as a share of the largest, that is only rounding."""


class JudgedNetwork(nn.Module):
    """Answers as a network in eval mode does, and proves that its answers are finite."""

    def __init__(self, network: nn.Module, engine: Engine) -> None:
        """Stand before a network whose weights stay as they are meanwhile."""
        super().__init__()
        self.network, self._engine = network.eval(), engine
        self.training = False

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (N, K) of images (N, C, H, W).

        Raises:
            NonFiniteError: where one is NaN or infinite.
        """
        count = len(images)
        more = -count % self._engine.bucket
        if more and count:
            # each new number of images costs the CPU's library, and a card's tuning, a new plan
            images = torch.cat([images, images[:1].detach().expand(more, *images.shape[1:])])
        if self._engine.channels_last and images.dim() == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        return finite(self.network(images)[:count].float(), "logits")


def judged(
    network: nn.Module, images: Tensor, engine: Engine, folds: Pairs | None = None
) -> JudgedNetwork:
    """Return a network for judging, with a copy of the weights as they are now.

    Batch norm in eval mode is a multiplication and an addition for each channel, which belong to
    the convolution before it (Jacob et al., CVPR 2018, section 3.2). Whether a network may be
    folded so is not read from its code but tried on it: where its answers change by more than
    rounding, it is judged as it is.

    Args:
        network: network in eval mode, on the device of the images.
        images: (N, C, H, W), pixels in [0, 1], that the folded copy is tried on.
        engine: which of it is done.
        folds: what `foldable` returned for a network of the same structure; None asks it.
    """
    own = _copied(network)
    if engine.channels_last:
        own.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if engine.folded:
        folded, some = copy.deepcopy(own), images[: engine.bucket]
        for pair in foldable(network, images) if folds is None else folds:
            _fold_into(folded, pair)
        if _agree(own, folded, some):
            own = folded
    return JudgedNetwork(own, engine)


@torch.no_grad()
def engine_for(network: nn.Module, images: Tensor) -> Engine:
    """Return how a network of anybody's own can be judged: one may call `view` on its images.

    Args:
        network: network, on the device of the images.
        images: (N, C, H, W), pixels in [0, 1], that it takes.
    """
    own = _copied(network)
    try:
        own(images[:2].contiguous(memory_format=torch.channels_last))
    except RuntimeError:
        return replace(ENGINE, channels_last=False)
    return ENGINE


def foldable(network: nn.Module, images: Tensor) -> Pairs:
    """Return which batch norms may be folded, tried one by one.

    A convolution's output may also go past the batch norm. That shows in the answers only where
    the norm does something, so that each is tried with statistics that are not those of a start.

    Args:
        network: network in eval mode, on the device of the images.
        images: (N, C, H, W), pixels in [0, 1], at least one.
    """
    tried, some, found = _stirred(_copied(network)), images[:2], list[tuple[str, str]]()
    for pair in pairs(tried, some):
        convolution, norm = (tried.get_submodule(name) for name in pair)
        own = copy.deepcopy(convolution)
        before = _answers(tried, some)
        _fold_into(tried, pair)
        if _alike(before, _answers(tried, some)):
            found.append(pair)
        _put(tried, pair[0], own)
        _put(tried, pair[1], norm)
    return tuple(found)


def _stirred(network: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, _NORMS) and module.running_var is not None:
            for buffer, lowest in ((module.running_mean, -0.5), (module.running_var, 0.5)):
                assert buffer is not None
                drawn = lowest + torch.rand(buffer.shape, generator=generator)
                buffer.copy_(drawn)
    return network


def _copied(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).eval().requires_grad_(False)


@torch.no_grad()
def pairs(network: nn.Module, images: Tensor) -> Pairs:
    """Return which batch norms see the output of a convolution, as it came, on these images.

    Args:
        network: network in eval mode.
        images: (N, C, H, W), at least one.
    """
    made, found = dict[int, str](), list[tuple[str, str]]()
    calls, kept, handles = Counter[str](), list[Tensor](), list[torch.utils.hooks.RemovableHandle]()

    def output_of(name: str) -> None:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            calls[name] += 1
            made[id(output)] = name
            kept.append(output)  # so that no other tensor gets its id

        handles.append(network.get_submodule(name).register_forward_hook(hook))

    def input_of(name: str) -> None:
        def hook(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            calls[name] += 1
            if id(inputs[0]) in made:
                found.append((made[id(inputs[0])], name))

        handles.append(network.get_submodule(name).register_forward_pre_hook(hook))

    for name, module in network.named_modules():
        if isinstance(module, _CONVOLUTIONS):
            output_of(name)
        elif isinstance(module, _NORMS) and module.running_var is not None:
            input_of(name)
    try:
        network(images)
    finally:
        for handle in handles:
            handle.remove()
    return tuple((one, other) for one, other in found if calls[one] == calls[other] == 1)


def _fold_into(network: nn.Module, pair: tuple[str, str]) -> None:
    """Make one convolution of a pair, in place."""
    convolution, norm = (network.get_submodule(name) for name in pair)
    weight, bias = _fold(convolution, norm)
    convolution.weight = nn.Parameter(weight, requires_grad=False)
    convolution.bias = nn.Parameter(bias, requires_grad=False)
    _put(network, pair[1], nn.Identity())


def _put(network: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, module)


def _fold(convolution: nn.Module, norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return weight and bias of gamma (conv(x) - mean) / sqrt(var + eps) + beta."""
    assert isinstance(norm, _NORMS) and norm.running_var is not None
    assert norm.running_mean is not None and isinstance(convolution, _CONVOLUTIONS)
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    weight = convolution.weight.double() * scale.view(-1, *[1] * (convolution.weight.dim() - 1))
    bias = -norm.running_mean.double()
    if convolution.bias is not None:
        bias = bias + convolution.bias
    bias = bias * scale
    if norm.bias is not None:
        bias = bias + norm.bias
    return weight.to(convolution.weight), bias.to(convolution.weight)


def _agree(own: nn.Module, folded: nn.Module, images: Tensor) -> bool:
    """Tell whether both give the same logits, up to rounding; NaN agrees with nothing."""
    return _alike(_answers(own, images), _answers(folded, images))


@torch.no_grad()
def _answers(network: nn.Module, images: Tensor) -> Tensor:
    answers: Tensor = network(images)
    return answers


def _alike(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= _ROUNDING * one.abs().max())
