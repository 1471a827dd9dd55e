"""The moving average of a model's weights, which is what is evaluated."""

import copy
from typing import Literal

import torch
from torch import Tensor, nn

from regmix.finite import constants

Rule = Literal["growing", "constant", "pgk"]


class Average:
    """Exponential average of weights and of BN's running statistics.

    Three rules for the decay, with s updates so far:

        growing    min(decay, (s + 1) / (s + 10)): an almost plain mean at first, so that early
                   epochs can be compared too
        constant   decay, from the first update on: the first weights, untrained, fade slowly
        pgk        FGSM-PGK's code: grows as above, but a batch whose attack was weak, where
                   r = correct(final) / correct(initial) reaches the threshold, has
                   0.99999 r / threshold in place of decay: late in training it hardly counts
    """

    def __init__(
        self, model: nn.Module, decay: float, rule: Rule = "growing", threshold: float = 0.82
    ) -> None:
        """Start from the model's present weights.

        Args:
            model: network that will be trained; it is copied.
            decay: weight of the old average, in [0, 1); 0 follows the model.
            rule: rule for the decay over time.
            threshold: limit for `pgk`, in (0, 1]; 0.82 on CIFAR-10, 0.9 on its other data sets.
        """
        self.decay, self.rule, self.threshold, self.updates = decay, rule, threshold, 0
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._infinite = constants(model).keys()  # of which no mean can be taken

    @torch.no_grad()
    def update(self, model: nn.Module, correct: Tensor | None = None) -> None:
        """Move towards the model: average <- d average + (1 - d) model.

        Args:
            model: network that is trained.
            correct: (2,) numbers of the batch's images that were classified correctly at the
                initial and at the final perturbation; only `pgk` needs them.
        """
        weight = 1 - self._present_decay(correct)
        mine, theirs = self.model.state_dict(), model.state_dict()
        real = [
            name
            for name, tensor in mine.items()
            if tensor.is_floating_point() and name not in self._infinite
        ]
        torch._foreach_lerp_([mine[n] for n in real], [theirs[n] for n in real], weight)
        for name in mine.keys() - set(real):  # counters, such as BN's number of batches
            mine[name].copy_(theirs[name])
        self.updates += 1

    def _present_decay(self, correct: Tensor | None) -> float:
        decay = self.decay
        if self.rule == "constant":
            return decay
        if self.rule == "pgk":
            assert correct is not None, "the trainer counts them"
            initial, final = correct.tolist()
            ratio = final / max(initial, 1)  # there may be none
            if ratio >= self.threshold:
                decay = 0.99999 * ratio / self.threshold
        return min(decay, (self.updates + 1) / (self.updates + 10))
