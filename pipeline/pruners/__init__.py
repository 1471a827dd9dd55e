"""Pruners, one per file: file name = function name = name on the command line.

Each function takes the number of epochs of a full run and returns a pruner that can also say why.
Some, marked by a parameter `inner`, go round another one: `collapse+halving` is halving within
collapse. A pruner reads nothing but what the study has stored, so it forgets nothing when a driver
dies.
"""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from optuna.study import Study
from optuna.trial import FrozenTrial

from regmix.errors import InputError, unknown


@dataclass(frozen=True)
class Stop:
    """Why a trial should stop.

    certain: whether it holds for the default configuration and for probes as well, since it does
        not depend on how the others fare.
    """

    reason: str
    certain: bool = False


class Pruner(Protocol):
    """Decides over a running trial, in words."""

    def stop(self, study: Study, trial: FrozenTrial) -> Stop | None:
        """Return why the trial should stop at its last reported epoch, or None to go on."""


def names() -> tuple[str, ...]:
    """Return the pruners that there are."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py")))


def _find(name: str) -> Callable[..., Pruner]:
    made: Callable[..., Pruner] = getattr(importlib.import_module(f"pipeline.pruners.{name}"), name)
    return made


def _wraps(name: str) -> bool:
    return "inner" in inspect.signature(_find(name)).parameters


def build(spec: str, epochs: int) -> Pruner:
    """Build a pruner for runs of `epochs` epochs.

    Args:
        spec: names joined by '+', the outermost first, such as 'collapse+halving'.
        epochs: of a full run.

    Raises:
        InputError: for an unknown name, or one inside another that goes round nothing.
    """
    *outer, inner = spec.split("+")
    for name in (*outer, inner):
        if name not in names():
            raise unknown("command line", "pruner", name, names())
    for name in outer:
        if not _wraps(name):
            raise InputError(
                f"command line: --pruner {spec}: {name} goes round no other pruner; put it last"
            )
    pruner = _find(inner)(epochs)
    for name in reversed(outer):
        pruner = _find(name)(epochs, inner=pruner)
    return pruner
