"""A search space: one YAML file, with every range checked when it is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.problem import yaml_file
from regmix.config import TASK
from regmix.errors import InputError, unknown
from regmix.ranges import Value, number


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

    def clip(self, value: Value) -> Value:
        """Return the nearest value of the range."""

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

    def suggest(self, trial: Suggests, name: str) -> float:
        """Let the study's sampler choose a value."""
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def ends(self) -> tuple[Value, ...]:
        """Return both bounds."""
        return self.low, self.high

    def clip(self, value: Value) -> float:
        """Return the nearest value of the range."""
        assert isinstance(value, int | float)
        return min(max(float(value), self.low), self.high)

    def at(self, share: float) -> float:
        """Return the value so far from the lower bound; on a log scale where it is searched so."""
        if self.log:
            return self.clip(self.low * (self.high / self.low) ** share)
        return self.clip(self.low + share * (self.high - self.low))

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

    def clip(self, value: Value) -> int:
        """Return the nearest value of the range."""
        assert isinstance(value, int | float)
        return int(min(max(value, self.low), self.high))

    def at(self, share: float) -> int:
        """Return the nearest whole number to a `Float` of these bounds."""
        return self.clip(round(Float(self.low, self.high, self.log).at(share)))

    def steps(self, most: int) -> int:
        """Return `most`, or how many numbers there are."""
        return min(most, self.high - self.low + 1)


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        if len(set(self.values)) < max(2, len(self.values)):
            raise InputError(f"choice needs at least 2 different values, but is {self.values}")

    def suggest(self, trial: Suggests, name: str) -> Value:
        """Let the study's sampler choose a value."""
        return trial.suggest_categorical(name, self.values)

    def ends(self) -> tuple[Value, ...]:
        """Return every value."""
        return self.values

    def clip(self, value: Value) -> Value:
        """Return the value itself where it is a choice, else the first choice."""
        return value if value in self.values else self.values[0]

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
        for key in content.keys() - {"loss", "fixed", "search"}:
            raise unknown(str(path), "key", key, ["loss", "fixed", "search"])
        searched, fixed = content.get("search"), content.get("fixed") or {}
        if not isinstance(searched, dict) or not searched:
            raise InputError(f"{path}: search must name at least one parameter with its range")
        if not isinstance(fixed, dict):
            raise InputError(f"{path}: fixed must be a mapping of names to values")
        for name in (searched.keys() | fixed.keys()) & TASK:
            raise InputError(
                f"{path}: {name} belongs to the task, which stays the same for all trials; set it "
                "in the recipe or by --set"
            )
        for name in searched.keys() & fixed.keys():
            raise InputError(f"{path}: {name} is both fixed and searched; leave one")
        ranges = {name: _range(f"{path}: {name}", rule) for name, rule in searched.items()}
        return cls(path.stem, content.get("loss", "regmix"), fixed, ranges, str(path))

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


def _range(place: str, rule: object) -> Range:
    """Read `{float: [0.5, 20], log: true}`, `{int: [1, 9]}` or `{choice: [a, b]}`."""
    if not isinstance(rule, dict):
        raise InputError(f"{place} must be like {{float: [0.5, 20], log: true}}, but is {rule!r}")
    kinds = rule.keys() & {"float", "int", "choice"}
    for key in rule.keys() - {"float", "int", "choice", "log"}:
        raise unknown(place, "key", str(key), ["float", "int", "choice", "log"])
    if len(kinds) != 1:
        raise InputError(f"{place} must have one of float, int and choice, but has {len(kinds)}")
    (kind,) = kinds
    content, log = rule[kind], rule.get("log", False)
    if not isinstance(log, bool) or (log and kind == "choice"):
        raise InputError(f"{place}: log must be true or false, and only for float and int")
    if not isinstance(content, list) or (kind != "choice" and len(content) != 2):
        raise InputError(f"{place}: {kind} must be [lower, upper], but is {content!r}")
    try:
        if kind == "choice":
            return Choice(tuple(content))
        low, high = (_bound(kind, bound) for bound in content)
        return Float(low, high, log) if kind == "float" else Int(int(low), int(high), log)
    except InputError as error:
        raise InputError(f"{place} {error}") from None


def _bound(kind: str, bound: object) -> float:
    try:
        if isinstance(bound, bool) or not isinstance(bound, int | float | str):
            raise ValueError
        value = number(str(bound))
    except ValueError:
        raise InputError(f"must have numbers for bounds, but has {bound!r}") from None
    if kind == "int" and not value.is_integer():
        raise InputError(f"must have whole numbers for bounds, but has {bound!r}")
    return value
