"""Variants as the registry knows them, and what attacks are compared with."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regmix import registry
from regmix.ranges import Value


def defaults(kind: str, name: str) -> dict[str, Value]:
    """The default of each option of a variant."""
    return {key: option.default for key, option in registry.options(kind, name).items()}


def signed_gradient(model: nn.Module, point: Tensor, labels: Tensor) -> Tensor:
    """Signs (N, C, H, W) of the cross-entropy's gradient at a point, as one writes it."""
    point = point.detach().requires_grad_()
    F.cross_entropy(model(point), labels).backward(inputs=point)
    assert isinstance(point.grad, torch.Tensor)
    return point.grad.sign()
