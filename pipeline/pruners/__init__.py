"""Pruners, one per file: file name = function name = name on the command line.

Each function takes the number of epochs of a full run and returns a pruner that can also say why.
"""

import importlib
from pathlib import Path
from typing import Protocol, cast

from optuna.study import Study
from optuna.trial import FrozenTrial


class Pruner(Protocol):
    """Decides over a running trial, in words."""

    def reason(self, study: Study, trial: FrozenTrial) -> str | None:
        """Return why the trial should stop at its last reported epoch, or None to go on."""


def names() -> tuple[str, ...]:
    """Return the pruners that there are."""
    return tuple(sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py")))


def build(name: str, epochs: int) -> Pruner:
    """Build a pruner by its name for runs of `epochs` epochs."""
    module = importlib.import_module(f"pipeline.pruners.{name}")
    return cast(Pruner, getattr(module, name)(epochs))
