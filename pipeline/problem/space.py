"""A search space: one YAML file, with every range checked when it is read."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, get_origin

from regmix import yaml_file
from regmix.config import TASK
from regmix.errors import InputError, shown, unknown
from regmix.ranges import Value, check, kind_of, number
from regmix.registry import names, unknown_variant

MOST = 100
"""Searched parameters of a space, and values of a choice: a handful is what can be searched."""

_LARGEST = 2**53  # of a whole number's bounds: samplers compute with floats


class Suggests(Protocol):
    """Chooses values: one of Optuna's trials."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Choose a real number between two bounds."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool) -> int:
        """Choose a whole number between two bounds."""

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """Choose one of some values."""


class Range(Protocol):
    """What one parameter may be."""

    def suggest(self, trial: Suggests, name: str) -> Value:
        """Let the study's sampler choose a value."""

    def ends(self) -> tuple[Value, ...]:
        """Return the values that a configuration must accept for all to be accepted."""

    def of(self, place: str, name: str, annotation: Any) -> "Range":  # noqa: ANN401
        """Return the range in the type of an option, every value of which is proved.

        Args:
            place: place of the range, for messages.
            name: name of the option.
            annotation: rule of the option, see `regmix.ranges`.

        Raises:
            InputError: where the option takes other values.
        """

    def nearest(self, value: Value) -> Value:
        """Return the value of the range that is nearest to any value that the option takes.

        None, which means that there is no limit, is above every number.
        """

    def at(self, share: float) -> Value:
        """Return the value so far from the lower end, in [0, 1], on the range's own scale."""

    def steps(self, most: int) -> int:
        """Return how many values a grid takes, where `most` are enough for a continuous range."""


@dataclass(frozen=True)
class Float:
    """A real number between two bounds, both included."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise InputError(f"must have its lower bound first, but is [{self.low}, {self.high}]")
        if self.log and self.low <= 0:
            raise InputError(f"log: true needs bounds above 0, but the lower one is {self.low}")
        width = self.high / self.low if self.log else self.high - self.low
        if not math.isfinite(width):
            raise InputError(
                f"must not be wider than a float can tell, but is [{self.low}, {self.high}]; "
                "narrow it"
            )

    def suggest(self, trial: Suggests, name: str) -> float:
        """Let the study's sampler choose a value."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def ends(self) -> tuple[Value, ...]:
        """Return both bounds."""
        return self.low, self.high

    def of(self, place: str, name: str, annotation: Any) -> "Float":  # noqa: ANN401
        """Return the same where the option takes real numbers, and both bounds."""
        if kind_of(annotation) is not float:
            raise _other(place, name, annotation, self)
        low, high = (check(place, name, bound, annotation) for bound in self.ends())
        return Float(low, high, self.log)  # what lies between two that are taken is taken too

    def nearest(self, value: Value) -> float:
        """Return the nearest value of the range."""
        number = self.high if value is None else value
        assert isinstance(number, int | float), "the option takes numbers"
        return min(max(float(number), self.low), self.high)

    def at(self, share: float) -> float:
        """Return the value so far from the lower bound; on a log scale where it is searched so."""
        if self.log:
            return self.nearest(self.low * (self.high / self.low) ** share)
        return self.nearest(self.low + share * (self.high - self.low))

    def steps(self, most: int) -> int:
        """Return `most`."""
        return most


@dataclass(frozen=True)
class Int:
    """A whole number between two bounds, both included."""

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        Float(self.low, self.high, self.log)

    def suggest(self, trial: Suggests, name: str) -> int:
        """Let the study's sampler choose a value."""
        return trial.suggest_int(name, self.low, self.high, log=self.log)

    def ends(self) -> tuple[Value, ...]:
        """Return both bounds."""
        return self.low, self.high

    def of(self, place: str, name: str, annotation: Any) -> "Int":  # noqa: ANN401
        """Return the same where the option takes numbers, also real ones, and both bounds."""
        if kind_of(annotation) not in (int, float):
            raise _other(place, name, annotation, self)
        for bound in self.ends():
            check(place, name, bound, annotation)
        return self

    def nearest(self, value: Value) -> int:
        """Return the nearest value of the range."""
        number = self.high if value is None else value
        assert isinstance(number, int | float), "the option takes numbers"
        return round(min(max(number, self.low), self.high))

    def at(self, share: float) -> int:
        """Return the nearest whole number to a `Float` of these bounds."""
        return self.nearest(round(Float(self.low, self.high, self.log).at(share)))

    def steps(self, most: int) -> int:
        """Return `most`, or how many numbers there are."""
        return min(most, self.high - self.low + 1)


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(self.values) > MOST:
            raise InputError(f"choice takes at most {MOST} values, but has {len(self.values)}")
        different: list[Value] = []
        for value in self.values:
            if not isinstance(value, Value):
                raise InputError(f"choice must be of single values, but has {shown(value)}")
            if value not in different:  # 1, 1.0 and true are the same in Python
                different.append(value)
        if len(different) < max(2, len(self.values)):
            raise InputError(
                f"choice needs at least 2 different values, but is {shown(list(self.values))}"
            )

    def suggest(self, trial: Suggests, name: str) -> Value:
        """Let the study's sampler choose a value."""
        return trial.suggest_categorical(name, self.values)

    def ends(self) -> tuple[Value, ...]:
        """Return every value."""
        return self.values

    def of(self, place: str, name: str, annotation: Any) -> "Choice":  # noqa: ANN401
        """Return the choices as the option reads them, each of which it must take."""
        typed = tuple(check(place, name, value, annotation) for value in self.values)
        try:
            return Choice(typed)
        except InputError as error:  # 1 and '1' are one number
            raise InputError(f"{place}: {name}: {error}") from None

    def nearest(self, value: Value) -> Value:
        """Return the value itself where it is a choice, else the nearest number or the first."""
        if value in self.values:
            return value
        if isinstance(value, int | float):
            numbers = [one for one in self.values if isinstance(one, int | float)]
            return min(numbers, key=lambda one: abs(one - value), default=self.values[0])
        return self.values[0]

    def at(self, share: float) -> Value:
        """Return the choice at this share of their list."""
        return self.values[min(int(share * len(self.values)), len(self.values) - 1)]

    def steps(self, most: int) -> int:  # noqa: ARG002
        """Return how many choices there are."""
        return len(self.values)


@dataclass(frozen=True)
class SearchSpace:
    """Which loss is used, what is fixed for it, and what is searched."""

    name: str
    loss: str
    fixed: Mapping[str, Value]
    ranges: Mapping[str, Range]
    source: str  # the file it was read from

    @classmethod
    def from_yaml(cls, path: Path) -> "SearchSpace":
        """Read `loss`, `fixed` and `search` from a file; its name is the space's.

        Raises:
            InputError: for what `yaml_file.read` refuses, an unknown key, a parameter of the
                task, or a range with wrong bounds.
        """
        content = yaml_file.read(path)
        if {"origin", "config"} <= content.keys():
            raise InputError(
                f"{path}: is an exported configuration and no search space; give a space by "
                "--space, and begin with this file by --enqueue"
            )
        for key in content.keys() - {"loss", "fixed", "search"}:
            raise unknown(str(path), "key", key, ["loss", "fixed", "search"])
        loss, searched, fixed = (content.get(key) for key in ("loss", "search", "fixed"))
        loss = "regmix" if "loss" not in content else loss
        fixed = {} if fixed is None else fixed
        if not isinstance(searched, dict) or not searched:
            raise InputError(f"{path}: search must name at least one parameter with its range")
        if not isinstance(fixed, dict):
            raise InputError(
                f"{path}: fixed must be a mapping of names to values, but is {shown(fixed)}"
            )
        if loss not in names("loss"):
            raise unknown_variant(str(path), "loss", loss)
        _check_names(str(path), searched, fixed)
        ranges = {name: _range(f"{path}: search: {name}", rule) for name, rule in searched.items()}
        return cls(path.stem, loss, fixed, ranges, str(path))

    def suggest(self, trial: Suggests) -> dict[str, Value]:
        """Let the study's sampler choose a value for every searched parameter."""
        return {name: range_.suggest(trial, name) for name, range_ in self.ranges.items()}

    def identity(self) -> dict[str, Any]:
        """Return the space in flat names, to compare it with that of an older study."""
        searched = {f"search.{name}": repr(range_) for name, range_ in self.ranges.items()}
        return {
            "loss": self.loss,
            **{f"fixed.{k}": v for k, v in self.fixed.items()},
            **searched,
        }


def _check_names(place: str, searched: Mapping[str, object], fixed: Mapping[str, object]) -> None:
    """Raise InputError for a name that no space may decide, or that one decides twice."""
    if len(searched) > MOST:
        raise InputError(
            f"{place}: search must name at most {MOST} parameters, but names {len(searched)}"
        )
    for name in (*searched, *fixed):
        if name in TASK:
            raise InputError(
                f"{place}: {name} belongs to the task, which stays the same for all trials; set it "
                "in the recipe or by --set"
            )
        if name == "loss":
            raise InputError(
                f"{place}: loss is what a space is about, one for each; write loss: NAME outside "
                "of search and fixed"
            )
        if name in searched and name in fixed:
            raise InputError(f"{place}: {name} is both fixed and searched; leave one")


def _other(place: str, name: str, annotation: Any, given: Float | Int) -> InputError:  # noqa: ANN401
    """Return the error for a range of numbers where the option takes others, with the remedy."""
    kind = kind_of(annotation)
    if kind is int:
        near = math.ceil(given.low), math.floor(given.high)
        bounds = f"{near[0]}, {near[1]}" if max(map(abs, near)) <= _LARGEST else "lower, upper"
        return InputError(
            f"{place}: {name} must be a whole number, but its range is of real numbers; write "
            f"{{int: [{bounds}]}}"
        )
    values = get_args(kind) if get_origin(kind) is Literal else ()
    rule = f"one of {', '.join(values)}" if values else "true or false" if kind is bool else "text"
    return InputError(
        f"{place}: {name} must be {rule}, but its range is of numbers; write {{choice: [...]}}"
    )


def _range(place: str, rule: object) -> Range:
    """Read `{float: [0.5, 20], log: true}`, `{int: [1, 9]}` or `{choice: [a, b]}`."""
    if not isinstance(rule, dict):
        raise InputError(
            f"{place} must be like {{float: [0.5, 20], log: true}}, but is {shown(rule)}"
        )
    kinds = rule.keys() & {"float", "int", "choice"}
    for key in rule.keys() - {"float", "int", "choice", "log"}:
        raise unknown(place, "key", key, ["float", "int", "choice", "log"])
    if len(kinds) != 1:
        raise InputError(f"{place} must have one of float, int and choice, but has {len(kinds)}")
    (kind,) = kinds
    content, log = rule[kind], rule.get("log", False)
    if not isinstance(log, bool) or (log and kind == "choice"):
        raise InputError(f"{place}: log must be true or false, and only for float and int")
    if not isinstance(content, list) or (kind != "choice" and len(content) != 2):
        form = "[one, another, ...]" if kind == "choice" else "[lower, upper]"
        raise InputError(f"{place}: {kind} must be {form}, but is {shown(content)}")
    try:
        if kind == "choice":
            return Choice(tuple(content))
        if kind == "float":
            return Float(_bound(content[0]), _bound(content[1]), log)
        return Int(_whole_bound(content[0]), _whole_bound(content[1]), log)
    except InputError as error:
        raise InputError(f"{place} {error}") from None


def _bound(bound: object) -> float:
    try:
        if isinstance(bound, bool) or not isinstance(bound, int | float | str):
            raise ValueError
        value = number(bound) if isinstance(bound, str) else float(bound)
    except (ValueError, OverflowError):
        raise InputError(f"must have numbers for bounds, but has {shown(bound)}") from None
    if not math.isfinite(value):
        raise InputError(f"must have finite bounds, but has {shown(bound)}")
    return value


def _whole_bound(bound: object) -> int:
    value = _bound(bound)
    if not value.is_integer():
        raise InputError(f"must have whole numbers for bounds, but has {shown(bound)}")
    if abs(value) > _LARGEST:
        raise InputError(f"must have bounds of at most {_LARGEST}, but has {shown(bound)}")
    return int(value)
