"""The ranges that options may lie in, and the one check that holds a value against them.

An option's annotation is its rule: `alpha: NonNegative = 5.0` in a loss file is all that a new
loss needs for its option to be found, checked and documented.
"""

import math
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from regmix.errors import InputError, shown

if TYPE_CHECKING:
    from typing_extensions import TypeForm

T = TypeVar("T")
_LARGEST = 2**63 - 1  # the largest whole number of torch, numpy and databases
Value = bool | int | float | str | None


@dataclass(frozen=True)
class Bounds:
    """An interval; `open_low` and `open_high` leave its ends out."""

    low: float = -math.inf
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def holds(self, number: Any) -> bool:  # noqa: ANN401
        """Return whether a number lies inside; NaN and infinity never do."""
        above = number > self.low if self.open_low else number >= self.low
        below = number < self.high if self.open_high else number <= self.high
        return above and below and math.isfinite(number)

    def __str__(self) -> str:
        if math.isinf(self.low) and math.isinf(self.high):
            return "must be finite"
        if math.isinf(self.high):
            return f"must be {'above' if self.open_low else 'at least'} {self.low:g}"
        left, right = "(" if self.open_low else "[", ")" if self.open_high else "]"
        return f"must lie in {left}{self.low:g}, {self.high:g}{right}"


Real = Annotated[float, Bounds()]
Positive = Annotated[float, Bounds(low=0, open_low=True)]
NonNegative = Annotated[float, Bounds(low=0)]
UnitInterval = Annotated[float, Bounds(low=0, high=1)]
PositiveUnitInterval = Annotated[float, Bounds(low=0, high=1, open_low=True)]
Decay = Annotated[float, Bounds(low=0, high=1, open_high=True)]
Natural = Annotated[int, Bounds(low=0)]
Count = Annotated[int, Bounds(low=1)]
Seed = Annotated[int, Bounds(low=0, high=_LARGEST)]  # what every generator takes


def number(text: str) -> float:
    """Read '0.1', '1e-3' or '8/255'; YAML takes the last two for text.

    Raises:
        ValueError: where the text is no number.
    """
    numerator, slash, denominator = text.partition("/")
    try:
        return float(numerator) / float(denominator) if slash else float(numerator)
    except (ValueError, ZeroDivisionError):
        raise ValueError(f"not a number: {shown(text)}") from None


def check(place: str, name: str, value: object, annotation: "TypeForm[T]") -> T:
    """Return the value in the annotation's type.

    Args:
        place: file or command line that the user wrote it in, for the message.
        name: name of the option.
        value: value as it came from YAML, a command line or Python.
        annotation: `float`, `int`, `bool`, `str`, a `Literal`, an `Annotated` number with
            `Bounds`, or one of them `| None`.

    Raises:
        InputError: where type or range is wrong.
    """
    result: T = _read(place, name, value, annotation)
    return result


def kind_of(annotation: Any) -> Any:  # noqa: ANN401
    """Return float, int, bool, str or a `Literal`: what an annotation's bounds are of."""
    return _parts(annotation)[0]


def _parts(annotation: Any) -> tuple[Any, Bounds | None, bool]:  # noqa: ANN401
    """Return the kind of value, its bounds, and whether it may be None."""
    kind, bounds = annotation, None
    optional = get_origin(kind) in (Union, types.UnionType)
    if optional:
        (kind,) = (arm for arm in get_args(kind) if arm is not types.NoneType)
    if get_origin(kind) is Annotated:
        kind, bounds = get_args(kind)
    return kind, bounds, optional


def _read(place: str, name: str, value: object, annotation: Any) -> Any:  # noqa: ANN401
    kind, bounds, optional = _parts(annotation)
    if optional and (
        value is None or (isinstance(value, str) and value.lower() in ("none", "null"))
    ):
        return None
    if get_origin(kind) is Literal:
        return _one_of(place, name, value, get_args(kind))
    result = _READERS[kind](place, name, value)
    if bounds is not None and not bounds.holds(result):
        raise InputError(f"{place}: {name} {bounds}, but is {shown(value)}; choose another value")
    if kind is float and not math.isfinite(result):
        raise InputError(f"{place}: {name} must be finite, but is {shown(value)}; choose another")
    if kind is int and abs(result) > _LARGEST:
        raise InputError(f"{place}: {name} must have fewer than 20 digits, but is {shown(value)}")
    return result


def _one_of(place: str, name: str, value: object, choices: tuple[Any, ...]) -> Value:
    if value in choices:
        return choices[choices.index(value)]  # type: ignore[no-any-return]
    raise InputError(f"{place}: {name} must be one of {', '.join(choices)}, but is {shown(value)}")


def _real(value: object) -> float:
    """Return a number that was written as one.

    Raises:
        ValueError, OverflowError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    return number(value) if isinstance(value, str) else float(value)


def _float(place: str, name: str, value: object) -> float:
    try:
        return _real(value)
    except (ValueError, OverflowError):
        raise InputError(
            f"{place}: {name} must be a number, but is {shown(value)}; write 0.1, 1e-3 or 8/255"
        ) from None


def _int(place: str, name: str, value: object) -> int:
    try:
        real = _real(value)
        if not real.is_integer():
            raise ValueError
    except (ValueError, OverflowError):
        raise InputError(
            f"{place}: {name} must be a whole number, but is {shown(value)}; write one such as 20"
        ) from None
    try:
        whole = int(value)  # type: ignore[call-overload]  # exact: a float is not
    except ValueError:
        whole = int(real)  # '1e3' or '6/2'
    assert isinstance(whole, int), "int() returns one"
    return whole


def _bool(place: str, name: str, value: object) -> bool:
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if isinstance(value, bool):
        return value
    raise InputError(f"{place}: {name} must be true or false, but is {shown(value)}")


def _str(place: str, name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise InputError(f"{place}: {name} must be text, but is {shown(value)}; put it in quotes")


_READERS: dict[Any, Callable[[str, str, object], Any]] = {
    float: _float,
    int: _int,
    bool: _bool,
    str: _str,
}
