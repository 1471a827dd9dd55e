"""An orderly stop: what no checkpoint has yet is written before the workers end."""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import RayActorError
from ray.tune.experiment import Trial

from pipeline.execution.messages import DiskFailure, TrialFailure

_WRITING = 30.0  # seconds in which a checkpoint is written that was begun


@dataclass
class OrderlyStop:
    """Knows which trials have finished work that is in no checkpoint.

    seconds: finished work that a kill may take from a trial, at most.
    trials: what returns Ray's live trials.
    """

    seconds: float
    trials: Callable[[], Iterable[Trial]] = tuple
    _safe: dict[str, float] = field(default_factory=dict)  # Ray's id -> when all is written

    def note(self, trial_id: str, unsaved: bool) -> None:
        """Note when what a trial has finished will be in a checkpoint.

        Args:
            trial_id: Ray's name of the trial.
            unsaved: whether that takes a call of `TrialActor.keep`, as its worker says.
        """
        self._safe[trial_id] = math.inf if unsaved else time.monotonic() + _WRITING

    def forget(self, trial_id: str) -> None:
        """Forget a trial that has ended."""
        self._safe.pop(trial_id, None)

    def save(self) -> Iterator[tuple[str, TrialFailure | DiskFailure]]:
        """Let every trial write what no checkpoint has, at the end of its present epoch.

        That end is waited for as long as such an epoch lasts, by the rule of the checkpoints: a
        longer one began with a checkpoint. A worker that dies meanwhile has its last one.

        Yields:
            Ray's name of a trial that could not be written, and why.
        """
        asked: dict[Any, str] = {}  # Ray's reference -> its trial
        for trial in self.trials():
            actor = trial.temporary_state.ray_actor
            if actor is not None and trial.trial_id in self._safe:
                asked[actor.keep.remote()] = trial.trial_id
        until = time.monotonic() + self.seconds + _WRITING
        while waiting := [ref for ref, name in asked.items() if self._waits(name, until)]:
            done, _ = ray.wait(waiting, timeout=0.2)  # short, so that a second Ctrl-C is heard
            for ref in done:
                name = asked.pop(ref)
                with contextlib.suppress(RayActorError):
                    failure = ray.get(ref)
                    if failure is not None:
                        yield name, failure

    def _waits(self, trial_id: str, until: float) -> bool:
        return time.monotonic() < min(until, self._safe[trial_id])
