"""The training step as a CUDA graph: recorded once for each length of a batch, then replayed.

A step of ResNet-18 is 650 to 900 launches, which take a host about as long as the card computes.
"""

import sys
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from regmix.training.inputs import StepInputs
from regmix.training.step import StepResult, TrainingStep

Recorder = Callable[[Callable[[], StepResult]], tuple[Callable[[], None], StepResult]]
_DEVIATION = 0.05  # of a replayed step from one that is not, over the step's own length


class _Program(NamedTuple):
    given: StepInputs  # what a replay reads
    replay: Callable[[], None]
    result: StepResult  # what it writes


class CapturedStep:
    """Does what a `TrainingStep` does, from the same tensors each time.

    Before a recording is used, one replay is held against the step itself, from the same state.
    Where it can't be recorded, or comes to something else, the step itself is taken from then on.
    """

    def __init__(self, step: TrainingStep, recorded: TrainingStep, record: Recorder) -> None:
        """Record nothing yet.

        Args:
            step: the step, which asks the device for nothing.
            recorded: the same of the same network, with its numbers on the device.
            record: `on_card`, or what stands for it in a test.
        """
        self._step, self._recorded, self._record = step, recorded, record
        self._programs: dict[tuple[int, ...], _Program] = {}
        self._refused = False

    def restart(self, step: TrainingStep) -> None:
        """Go on for another run, whose numbers `recorded` has on the device.

        Args:
            step: the step of the other run, of the same network.
        """
        self._step, self._refused = step, False  # a run that diverges is no proof

    def __call__(self, batch: StepInputs) -> StepResult:
        """Attack a batch, and move the weights once."""
        shape = tuple(batch.images.shape)
        if not self._refused and shape not in self._programs:
            self._prepare(shape, batch)
        if self._refused:
            return self._step(batch)
        program = self._programs[shape]
        _fill(program.given, batch)
        program.replay()
        return program.result

    def _prepare(self, shape: tuple[int, ...], batch: StepInputs) -> None:
        """Record a program, and prove it; all that a step moves is as before afterwards."""
        given = StepInputs(*(torch.empty_like(tensor) for tensor in batch))
        _fill(given, batch)
        before = self._step.snapshot()
        try:
            replay, result = self._record(lambda: self._recorded(given))
            self._step.restore(before)
            replay()
            replayed, seen = self._step.snapshot(), result.sums.clone()
            self._step.restore(before)
            expected = self._step(batch)
            stepped = self._step.snapshot()
            sound = _same(before, replayed, stepped) and bool(
                torch.allclose(seen, expected.sums, rtol=_DEVIATION, atol=1.0)
            )
            reason = "comes to other numbers"
        except (RuntimeError, TypeError) as error:
            sound, reason = False, f"can't be recorded ({str(error).splitlines()[0][:120]})"
        self._step.restore(before)
        if sound:
            self._programs[shape] = _Program(given, replay, result)
            return
        self._refused = True
        self._programs.clear()
        print(
            f"warning: the training step as a CUDA graph {reason}; it is launched piece by piece",
            file=sys.stderr,
            flush=True,
        )


def on_card(run: Callable[[], StepResult]) -> tuple[Callable[[], None], StepResult]:
    """Record a function of the device as a CUDA graph; what it wrote before is up to the caller.

    Returns:
        the replay, and the tensors that each replay writes.
    """
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):  # libraries choose and load what they compute with
            run()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = run()
    return graph.replay, result


def _fill(given: StepInputs, batch: StepInputs) -> None:
    for own, new in zip(given, batch, strict=True):
        own.copy_(new)


def _same(before: list[Tensor], one: list[Tensor], other: list[Tensor]) -> bool:
    """Return whether two steps from one state went the same way, but for rounding."""
    for start, mine, theirs in zip(before, one, other, strict=True):
        start, mine, theirs = (tensor.double() for tensor in (start, mine, theirs))
        length = (theirs - start).norm() + 1e-6 * start.norm()
        if not bool((mine - theirs).norm() <= _DEVIATION * length):
            return False
    return True
