"""What a file that the tool wrote must hold, declared as data and checked in one place.

A rule is an annotation of `regmix.ranges`, a mapping of names to rules, one of the classes here, or
`object` for what is checked elsewhere.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from regmix.errors import InputError, shown, unknown
from regmix.ranges import Real, check

Rule = Any  # an annotation has no type of its own in Python 3.11


@dataclass(frozen=True)
class MayLack:
    """What may be left out."""

    rule: Rule


@dataclass(frozen=True)
class OrNone:
    """What may be None."""

    rule: Rule


@dataclass(frozen=True)
class Each:
    """Names of any text, each with a value of one rule."""

    rule: Rule


@dataclass(frozen=True)
class ListOf:
    """Values of one rule, in order; `length` of them, or any number."""

    rule: Rule
    length: int | None = None


def read(place: str, value: object, rule: Rule, remedy: str) -> Any:  # noqa: ANN401
    """Return a value in the types that a rule says.

    Args:
        place: file and the names that lead to the value, parted by ': ', for messages.
        value: value as it came from YAML.
        rule: what it must be.
        remedy: what the user can do, for messages.

    Raises:
        InputError: for the first part that is missing, unknown or of another type.
    """
    if isinstance(rule, OrNone):
        return None if value is None else read(place, value, rule.rule, remedy)
    if isinstance(rule, Mapping | Each):
        return _mapping(place, value, rule, remedy)
    if isinstance(rule, ListOf):
        if not isinstance(value, list) or rule.length not in (None, len(value)):
            kind = "a list" if rule.length is None else f"a list of {rule.length}"
            raise InputError(f"{place}: must be {kind}, but is {shown(value)}; {remedy}")
        return [read(place, one, rule.rule, remedy) for one in value]
    if rule is object:
        return value
    where, _, name = place.rpartition(": ")
    try:
        return check(where, name, value, rule)
    except InputError as error:  # such a file is not corrected by hand
        raise InputError(f"{str(error).partition('; ')[0]}; {remedy}") from None


def _mapping(
    place: str, value: object, rule: Mapping[str, Rule] | Each, remedy: str
) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(
            f"{place}: must be a mapping of names to values, but is {shown(value)}; {remedy}"
        )
    rules = dict.fromkeys(value, rule.rule) if isinstance(rule, Each) else rule
    for name in value:
        if name not in rules:
            raise unknown(place, "key", name, rules)
    found = {}
    for name, part in rules.items():
        inner = part.rule if isinstance(part, MayLack) else part
        if name in value:
            found[name] = read(f"{place}: {name}", value[name], inner, remedy)
        elif inner is part:
            raise InputError(f"{place}: {name} is missing; {remedy}")
    return found


def of_dataclass(kind: type, **own: Rule) -> dict[str, Rule]:
    """Return the rules of a dataclass's fields, from their annotations; numbers must be finite.

    Args:
        kind: the dataclass; fields with a default may be left out.
        own: rules that are narrower than a field's annotation.
    """
    hints, rules = get_type_hints(kind), {}
    for field in dataclasses.fields(kind):
        rule = own[field.name] if field.name in own else _rule(hints[field.name])
        required = field.default is dataclasses.MISSING
        rules[field.name] = rule if required else MayLack(rule)
    return rules


def _rule(hint: Any) -> Rule:  # noqa: ANN401
    if hint is float:
        return Real
    if get_origin(hint) in (Union, UnionType):
        (kind,) = (arm for arm in get_args(hint) if arm is not NoneType)
        return OrNone(_rule(kind))
    return of_dataclass(hint) if isinstance(hint, type) and is_dataclass(hint) else hint
