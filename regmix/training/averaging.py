"""The moving average of a model's weights, which is what is evaluated."""

from typing import Literal

import torch
from torch import Tensor

from regmix.training.layout import Layout

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
        self, trained: Layout, decay: float, rule: Rule = "growing", threshold: float = 0.82
    ) -> None:
        """Start from the present weights of a network.

        Args:
            trained: layout of the network that will be trained; the network is copied.
            decay: weight of the old average, in [0, 1); 0 follows the model.
            rule: rule for the decay over time.
            threshold: limit for `pgk`, in (0, 1]; 0.82 on CIFAR-10, 0.9 on its other data sets.
        """
        self.decay, self.rule, self.threshold, self.updates = decay, rule, threshold, 0
        self._theirs, self._mine = trained, trained.twin()
        self.model = self._mine.network
        self._decay, self._threshold, self._growth = (
            torch.full((), value, dtype=torch.float64, device=trained.device)
            for value in (decay, threshold, 1.0)
        )

    @torch.no_grad()
    def restart(self, decay: float, threshold: float) -> None:
        """Begin anew from the present weights of the network, by the same rule."""
        self.decay, self.threshold, self.updates = decay, threshold, 0
        self._decay.fill_(decay)
        self._threshold.fill_(threshold)
        self._growth.fill_(1.0)
        for own, other in zip(self._mine.all, self._theirs.all, strict=True):
            own.copy_(other)

    @property
    def layout(self) -> Layout:
        """The layout of the averaged network."""
        return self._mine

    def update(self, correct: Tensor | None = None, sound: Tensor | None = None) -> None:
        """Move towards the model: average <- d average + (1 - d) model.

        Args:
            correct: (2,) numbers of the batch's images that were classified correctly at the
                initial and at the final perturbation; only `pgk` needs them.
            sound: () bool on the device; where it is False, nothing is moved. None is True.
        """
        self.prepare()
        self.move(correct, sound)

    def prepare(self) -> None:
        """Count an update, and tell the device how far it may go: before each `move`."""
        if self.rule != "constant":
            self._growth.fill_(self._limit())
        self.updates += 1

    def _limit(self) -> float:
        return (self.updates + 1) / (self.updates + 10)

    @torch.no_grad()
    def move(self, correct: Tensor | None = None, sound: Tensor | None = None) -> None:
        """Do what `update` says, on the device alone."""
        mine, theirs = self._mine, self._theirs
        mine.gather()
        theirs.gather()
        weight = 1 - torch.minimum(self._present_decay(correct), self._growth)
        for own, other in zip(mine.real, theirs.real, strict=True):
            if sound is None:
                own.lerp_(other, weight.to(own.dtype))
            else:
                torch.where(sound, own.lerp(other, weight.to(own.dtype)), own, out=own)
        for own, other in zip(mine.counters.pieces, theirs.counters.pieces, strict=True):
            own.copy_(other if sound is None else torch.where(sound, other, own))

    def _present_decay(self, correct: Tensor | None) -> Tensor:
        """Return () the decay before its growth is looked at."""
        if self.rule != "pgk":
            return self._decay
        assert correct is not None, "the trainer counts them"
        initial, final = correct.double()
        ratio = final / initial.clamp_min(1)  # there may be none
        weak = 0.99999 * ratio / self._threshold
        return torch.where(ratio >= self._threshold, weak, self._decay)
