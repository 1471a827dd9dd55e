"""A folder is a registry: file name = function name = name in YAML.

What options a variant has is read from its signature in the source, without importing the
file: an error in a user's input is then told within a second, not after torch is loaded.
"""

import ast
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any, Literal

from regmix import ranges
from regmix.errors import unknown
from regmix.ranges import Value

KINDS = ("data", "model", "attack", "loss")
_FOLDERS = {"data": "data", "model": "models", "attack": "attacks", "loss": "losses"}
_VOCABULARY = {**vars(ranges), "Literal": Literal}


@dataclass(frozen=True)
class Option:
    """A keyword-only option of a variant: its rule and its default."""

    annotation: Any
    default: Value


def names(kind: str) -> tuple[str, ...]:
    """Return the variants of a kind: 'data', 'model', 'attack' or 'loss'."""
    folder = Path(__file__).parent / _FOLDERS[kind]
    return tuple(sorted(path.stem for path in folder.glob("[!_]*.py")))


@cache
def options(kind: str, name: str) -> Mapping[str, Option]:
    """Return the keyword-only options that have a default, in the order they are written.

    Keyword-only arguments without a default (such as an attack's epsilon) are the trainer's to
    give, not the user's.

    Raises:
        InputError: where there is no such variant.
    """
    if name not in names(kind):
        raise unknown("configuration", kind, name, names(kind))
    source = Path(__file__).parent / _FOLDERS[kind] / f"{name}.py"
    function = next(
        node
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return MappingProxyType(
        {
            argument.arg: Option(_evaluate(argument.annotation), ast.literal_eval(default))
            for argument, default in pairs
            if default is not None
        }
    )


def _evaluate(annotation: ast.expr | None) -> Any:  # noqa: ANN401
    """Evaluate an annotation of our own source in the vocabulary of `regmix.ranges`."""
    assert annotation is not None, "every option is annotated"
    return eval(compile(ast.Expression(annotation), "<annotation>", "eval"), _VOCABULARY)


def module(kind: str, name: str) -> ModuleType:
    """Import the file of a variant."""
    return importlib.import_module(f"regmix.{_FOLDERS[kind]}.{name}")


def find(kind: str, name: str) -> Callable[..., Any]:
    """Import a variant and return its function."""
    return getattr(module(kind, name), name)  # type: ignore[no-any-return]
