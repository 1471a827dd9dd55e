"""The moving average of a model's weights, which is what is judged."""

import copy

import torch
from torch import nn


class Average:
    """Exponential average of weights and of BN's running statistics.

    The decay grows as min(decay, (s + 1) / (s + 10)) with s updates so far, as in FGSM-PGK's
    code: an almost plain mean at first, so that early epochs can be compared too.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Start from the model's present weights; decay in [0, 1), 0 follows the model."""
        self.decay, self.updates = decay, 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the model: average <- d average + (1 - d) model."""
        weight = 1 - min(self.decay, (self.updates + 1) / (self.updates + 10))
        mine, theirs = self.model.state_dict(), model.state_dict()
        real = [name for name, tensor in mine.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([mine[n] for n in real], [theirs[n] for n in real], weight)
        for name in mine.keys() - set(real):  # counters, such as BN's number of batches
            mine[name].copy_(theirs[name])
        self.updates += 1
