"""The signature of a variant, read from its source and held against what its kind must take.

Nothing of the source is executed, so that a user's mistake is reported in one line within a second
and before torch is loaded.
"""

import ast
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_origin

from regmix import ranges
from regmix.errors import InputError, shown
from regmix.ranges import Bounds, Value, check

_RULES: Mapping[str, Any] = {
    **{kind.__name__: kind for kind in (float, int, bool, str)},
    **{name: rule for name, rule in vars(ranges).items() if get_origin(rule) is Annotated},
}
_NOT_WRITTEN_OUT = (ValueError, TypeError, SyntaxError, RecursionError, MemoryError)
"""What `ast.literal_eval` raises for an expression that is no plain value."""


@dataclass(frozen=True)
class Option:
    """A keyword-only option of a variant: its rule and its default."""

    annotation: Any
    default: Value


@dataclass(frozen=True)
class Contract:
    """What the function of a variant must take besides its options."""

    positional: tuple[str, ...]
    optional: tuple[str, ...] = ()  # further positional parameters, with a default or left out
    keywords: tuple[str, ...] = ()  # keyword-only and without a default: the caller gives them
    companion: str = ""  # another function of the file, which takes the options too
    companion_keywords: tuple[str, ...] = ()  # what the companion is given besides the options


@cache
def read(source: str, place: str, name: str, contract: Contract | None) -> Mapping[str, Option]:
    """Return the options of the function `name`, in the order in which they are written.

    Args:
        source: text of the variant's file.
        place: path of the file, for messages.
        name: name of the variant, hence of the function.
        contract: parameters that its kind takes; None leaves them unchecked.

    Raises:
        InputError: where the source can't be parsed or breaks the contract, or an option has no
            rule of `regmix.ranges`, no default, or a default that breaks its rule.
    """
    functions = {
        node.name: node for node in parse(source, place).body if isinstance(node, ast.FunctionDef)
    }
    if name not in functions:
        raise InputError(
            f"{place}: must define a function {name}(), named as the file, but defines "
            f"{_listed([*functions][:5])}; add it or rename the file"
        )
    function = functions[name]
    where = f"{place}:{function.lineno}"
    if contract is not None:
        _check_parameters(where, function, contract)
    given = contract.keywords if contract is not None else ()
    options = {
        argument.arg: _option(f"{place}:{argument.lineno}", argument, default)
        for argument, default in zip(
            function.args.kwonlyargs, function.args.kw_defaults, strict=True
        )
        if argument.arg not in given
    }
    if contract is not None and contract.companion:
        if contract.companion not in functions:
            raise InputError(
                f"{place}: must define {contract.companion}() beside {name}(), but does not; add "
                f"it, as the files of this kind in regmix/ do"
            )
        companion = functions[contract.companion]
        given = (*contract.companion_keywords, *options)
        _check_companion(f"{place}:{companion.lineno}", companion, given)
    return MappingProxyType(options)


def parse(source: str, place: str) -> ast.Module:
    """Return the syntax tree of a file.

    Raises:
        InputError: where the source is no Python.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # what Python would print, it says on import
            tree = ast.parse(source)
            compile(tree, place, "exec", dont_inherit=True)  # finds what the grammar does not
    except SyntaxError as error:
        raise InputError(f"{place}:{error.lineno}: is no Python: {error.msg}; correct it") from None
    except ValueError as error:  # a null byte
        raise InputError(f"{place}: is no Python: {error}; correct it") from None
    except (RecursionError, MemoryError):
        raise InputError(f"{place}: is nested too deeply for Python; make it flat") from None
    return tree


def _check_parameters(where: str, function: ast.FunctionDef, contract: Contract) -> None:
    arguments = function.args
    positional = tuple(one.arg for one in (*arguments.posonlyargs, *arguments.args))
    required = positional[: len(positional) - len(arguments.defaults)]
    further = positional[len(contract.positional) :]
    if (
        positional[: len(contract.positional)] != contract.positional
        or not set(further) <= set(contract.optional)
        or not set(required) <= set(contract.positional)
    ):
        optional = f", then at most {_listed(contract.optional)}" if contract.optional else ""
        raise InputError(
            f"{where}: the positional parameters of {function.name}() must be "
            f"{_listed(contract.positional)}{optional}, but are {_listed(positional)}; name them "
            "so, and put options behind *"
        )
    if arguments.vararg or arguments.kwarg:
        raise InputError(
            f"{where}: {function.name}() must name each option, but takes * or ** arguments; "
            "name them"
        )
    missing = [key for key in contract.keywords if key not in _keywords(function, default=False)]
    if missing:
        raise InputError(
            f"{where}: {function.name}() must take {_listed(contract.keywords)} behind * without "
            f"a default, but lacks {_listed(missing)}; add it"
        )


def _keywords(function: ast.FunctionDef, *, default: bool) -> list[str]:
    """Return the keyword-only parameters that have a default, or those that have none."""
    pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return [argument.arg for argument, value in pairs if (value is not None) == default]


def _check_companion(where: str, function: ast.FunctionDef, given: tuple[str, ...]) -> None:
    """Prove that the companion can be called with these keywords and no others."""
    arguments = function.args
    names = [one.arg for one in (*arguments.args, *arguments.kwonlyargs)]
    missing = [key for key in given if key not in names and arguments.kwarg is None]
    if missing:
        raise InputError(
            f"{where}: {function.name}() must take {_listed(given)} by name, but lacks "
            f"{_listed(missing)}; add it, or **_: object"
        )
    positional = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
    required = positional[: len(positional) - len(arguments.defaults)]
    unknown = [key for key in (*required, *_keywords(function, default=False)) if key not in given]
    if unknown:
        raise InputError(
            f"{where}: {function.name}() is given {_listed(given)}, but also requires "
            f"{_listed(unknown)}; remove it or give it a default"
        )


def _option(place: str, argument: ast.arg, default: ast.expr | None) -> Option:
    name = argument.arg
    if argument.annotation is None:
        raise InputError(
            f"{place}: the option {name} must be annotated with its range, but is not; choose one "
            f"of {_listed(_RULES)}"
        )
    rule = _rule(place, name, argument.annotation)
    if default is None:
        raise InputError(f"{place}: the option {name} must have a default, but has none; add one")
    try:
        value = ast.literal_eval(default)
    except _NOT_WRITTEN_OUT:
        raise InputError(
            f"{place}: the default of {name} must be a number, a text, True, False or None, but "
            f"is {_shown(default)}; write out its value"
        ) from None
    check(place, f"the default of {name}", value, rule)
    return Option(rule, value)


def _rule(place: str, name: str, annotation: ast.expr) -> Any:  # noqa: ANN401
    """Return what an annotation means: a rule, a `Literal`, bounds of one's own, or one | None."""
    match annotation:
        case ast.Name(id=word) if word in _RULES:
            return _RULES[word]
        case ast.BinOp(left=rule, op=ast.BitOr(), right=ast.Constant(value=None)):
            return _rule(place, name, rule) | None
        case ast.Subscript(value=ast.Name(id="Literal"), slice=choices):
            listed = choices.elts if isinstance(choices, ast.Tuple) else [choices]
            texts = [one.value for one in listed if isinstance(one, ast.Constant)]
            if texts and len(texts) == len(listed) and all(isinstance(t, str) for t in texts):
                return Literal[tuple(texts)]
        case ast.Subscript(
            value=ast.Name(id="Annotated"),
            slice=ast.Tuple(elts=[ast.Name(id="float" | "int" as word), ast.Call() as bounds]),
        ):
            return Annotated[_RULES[word], _bounds(place, name, bounds)]
    raise InputError(
        f"{place}: the annotation of {name} must be one of {_listed(_RULES)} or Literal of texts, "
        f"also with | None, but is {_shown(annotation)}; change it"
    )


def _bounds(place: str, name: str, call: ast.Call) -> Bounds:
    try:
        if ast.unparse(call.func) != "Bounds":
            raise ValueError
        keywords = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
        bounds = Bounds(*map(ast.literal_eval, call.args), **keywords)
        for bound in (bounds.low, bounds.high):
            if isinstance(bound, bool) or not isinstance(bound, int | float):
                raise ValueError
        return bounds
    except _NOT_WRITTEN_OUT:
        raise InputError(
            f"{place}: the bounds of {name} must be Bounds(low=..., high=...) of numbers, but are "
            f"{_shown(call)}; change them"
        ) from None


def _shown(expression: ast.expr) -> str:
    try:
        return shown(ast.unparse(expression))
    except (RecursionError, ValueError):  # too deep, or a whole number of too many digits
        return "a long expression"


def _listed(names: Mapping[str, object] | tuple[str, ...] | list[str]) -> str:
    return ", ".join(names) or "none"
