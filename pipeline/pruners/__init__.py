"""Pruners, one per file: file name = function name = name on the command line.

Each function takes the number of epochs of a full run and returns a pruner that can also say why,
or any of Optuna's pruners. Some, marked by a parameter `inner`, go round another one:
`collapse+freeze` is freeze within collapse. Pruners are asked after epochs that have a value to
compare; one that speaks at certain epochs takes `eval_every` too, the number of epochs from one
validation to the next. A pruner reads nothing but what the study has stored, so it forgets nothing
when a driver dies.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from optuna.pruners import BasePruner

from pipeline.pruners._named import NamedPruner
from pipeline.pruners._optuna import OptunaPruner
from pipeline.study.contracts import Pruner
from regmix import registry
from regmix.errors import InputError
from regmix.signature import Contract

KIND = "pruner"
registry.add_kind(
    KIND, Path(__file__).parent, __name__, Contract(("epochs",), optional=("inner", "eval_every"))
)


def names() -> tuple[str, ...]:
    """Return the pruners that there are, those of plug-ins too."""
    return registry.names(KIND)


def split(spec: str) -> list[str]:
    """Return the names in a specification such as 'collapse+freeze', the outermost first.

    Raises:
        InputError: for an unknown name.
    """
    found = spec.split("+")
    for name in found:
        if name not in names():
            raise registry.unknown_variant("command line", KIND, name)
    return found


def build(spec: str, epochs: int, eval_every: int = 1) -> Pruner:
    """Build a pruner.

    Args:
        spec: names joined by '+', the outermost first, such as 'collapse+halving'.
        epochs: number of epochs of a full run.
        eval_every: number of epochs from one validation to the next.

    Raises:
        InputError: for an unknown name, or one inside another that goes round nothing.
    """
    *outer, inner = split(spec)
    for name in outer:
        if "inner" not in _parameters(name):
            raise InputError(
                f"command line: --pruner {spec}: {name} goes round no other pruner; put it last"
            )
    pruner = _with_reason(inner, _built(inner, epochs, eval_every))
    for name in reversed(outer):
        pruner = _with_reason(name, _built(name, epochs, eval_every, inner=pruner), outer=True)
    return pruner


def _built(name: str, epochs: int, eval_every: int, **inner: Pruner) -> Any:  # noqa: ANN401
    given: dict[str, Any] = dict(inner)
    if "eval_every" in _parameters(name):
        given["eval_every"] = eval_every
    return registry.built(KIND, name, partial(_find(name), epochs, **given))


def _parameters(name: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(_find(name)).parameters


def _find(name: str) -> Callable[..., Pruner]:
    found: Callable[..., Pruner] = registry.find(KIND, name)
    return found


def _with_reason(name: str, pruner: Pruner | BasePruner, *, outer: bool = False) -> Pruner:
    """Return a pruner whose reasons say whose they are, where its own don't."""
    if isinstance(pruner, BasePruner):
        return OptunaPruner(name, pruner)
    return NamedPruner(name, pruner, outer) if registry.is_plugin(KIND, name) else pruner
