"""Whether a run's numbers are finite: asked on the device, and told with the step at fault."""

from typing import NamedTuple

import torch
from torch import Tensor

from regmix.errors import NonFiniteError
from regmix.interfaces import AttackResult


class _Place(NamedTuple):
    epoch: int  # from 1
    step: int  # of the epoch, from 1
    lr: float


class Soundness:
    """Looks at each step's loss and attack, at once or late, in any case before the update.

    To look is to wait for the device. So where `every` is above 1, the device itself leaves out the
    update of a step that is not finite, and all after it, and is asked at every so many steps.
    """

    def __init__(self, device: torch.device, every: int) -> None:
        """Begin with a run that is sound.

        Args:
            device: device of the run.
            every: number of steps between two looks, at least 1.
        """
        self._every, self._waiting = every, list[_Place]()
        self._sound = torch.ones((), dtype=torch.bool, device=device)
        self._good = torch.zeros((), dtype=torch.int64, device=device)  # of the waiting steps
        # of the first step that is not finite
        self._loss, self._logit = torch.zeros(2, dtype=torch.float64, device=device)

    @property
    def late(self) -> bool:
        """Whether the device has to leave out what must not be done."""
        return self._every > 1

    def restart(self) -> None:
        """Begin anew with a run that is sound."""
        self._waiting.clear()
        self._sound.fill_(True)
        self._good.zero_()

    @property
    def moved(self) -> list[Tensor]:
        """What a step tells the next look, on the device."""
        return [self._sound, self._good, self._loss, self._logit]

    def begin(self, epoch: int, step: int, lr: float) -> None:
        """Say where the next step is, both from 1; look at those before it where it is time.

        Raises:
            NonFiniteError: as `look` does.
        """
        if len(self._waiting) == self._every:
            self.look()
        self._waiting.append(_Place(epoch, step, lr))

    @torch.no_grad()
    def judge(self, loss: Tensor, attacked: AttackResult, final: Tensor) -> Tensor | None:
        """Take in a step.

        Args:
            loss: () of the batch.
            attacked: what its attack found.
            final: (N, K) logits at the final perturbation.

        Returns:
            () bool on the device: this step and all before it are finite. None: they are.

        Raises:
            NonFiniteError: where they are not and each step is looked at.
        """
        ends = (loss, *attacked.gradient.aminmax(), *attacked.perturbation.aminmax())
        finite = torch.isfinite(torch.stack(ends)).all()
        if not self.late and finite:
            self._waiting.clear()
            return None
        for own, seen in ((self._loss, loss), (self._logit, final.abs().max())):
            own.copy_(torch.where(self._sound, seen, own))
        self._sound.logical_and_(finite)
        self._good.add_(self._sound)
        if not self.late:
            self.look()
        return self._sound

    def look(self) -> None:
        """Wait for the device, and ask whether all steps were finite.

        Raises:
            NonFiniteError: with epoch, step and what was at fault, for the first that was not.
        """
        if not self._sound:
            place = self._waiting[int(self._good)]
            loss = self._loss.item()
            finite = torch.isfinite(self._loss)
            what = "the attack is not finite" if finite else f"loss is {loss}"
            raise NonFiniteError(
                f"{what} in epoch {place.epoch}, step {place.step}: largest logit "
                f"{self._logit.item():.3g} at the final perturbation, lr {place.lr:.3g}"
            )
        self._waiting.clear()
        self._good.zero_()
