"""YAML as data only: names, numbers, texts, lists. Nothing is executed or silently dropped.

What people and `export.py` write needs no anchors and no tags. They are refused, and with them
every value that is larger than its text, and every constructor.
"""

import re
from pathlib import Path
from typing import Any
from unicodedata import category

import yaml

from regmix.errors import InputError, shown
from regmix.user_files import read_text

DEEPEST = 30
"""Levels of lists and mappings: a configuration has three, and trained again one more each time."""
MOST = 25_000
"""Keys and values of a file: an exported one has a hundred, and one for each class."""

_LONGEST_NUMBER = 100  # characters
_OTHER_BASE = re.compile(r"[-+]?0[0-7_]+|.*:.*")  # YAML 1.1: 010 is 8, and 1:30 is 90
_READERS = {
    "int": yaml.SafeLoader.construct_yaml_int,
    "float": yaml.SafeLoader.construct_yaml_float,
    "bool": yaml.SafeLoader.construct_yaml_bool,
    "null": yaml.SafeLoader.construct_yaml_null,
}  # what else YAML has a notation for, such as dates, stays the text that was written


class _Loader(yaml.SafeLoader):
    """PyYAML's parser, which stops at what is not read here before it costs time or memory."""

    depth = count = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Return the next node, which lies within `parent`.

        Raises:
            InputError: for an anchor, a tag, or too many of them.
        """
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self.count += 1
        self.depth += 1
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _at(event, "has an anchor or alias (& or *), which is not read; write it out")
        if event.tag is not None:
            raise _at(event, f"has the tag {shown(event.tag)}; tags are not read, leave it out")
        if self.depth > DEEPEST:
            raise _at(event, f"is nested more than {DEEPEST} levels deep; make it flat")
        if self.count > MOST:
            raise _at(event, f"is behind {MOST} keys and values, the most that is read; shorten it")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _at(part: Any, problem: str) -> InputError:  # noqa: ANN401  (an event or a node)
    return InputError(f"line {part.start_mark.line + 1}: {problem}")


def read(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds; every key in it is the text that was written.

    Raises:
        InputError: where it can't be read, is no YAML, or is no mapping of names.
    """
    text = read_text(path)
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        content = None if node is None else _value(loader, node)
    except InputError as error:
        raise InputError(f"{path}, {error}") from None
    except yaml.reader.ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        character = shown(chr(error.character) if isinstance(error.character, int) else "")
        raise InputError(
            f"{path}, line {number}: holds the character {character}; remove it"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "no YAML"
        raise InputError(f"{path}{line}: {problem}; correct the YAML") from None
    except (ValueError, OverflowError) as error:  # an escape or a directive that is no number
        number = 1 if loader is None else loader.line + 1
        raise InputError(f"{path}, line {number}: {error}; correct the YAML") from None
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: must be a mapping of names to values, but is not; see docs/extending.md"
        )
    return content


def _value(loader: _Loader, node: yaml.Node) -> Any:  # noqa: ANN401
    """Return what a node holds: a dict, a list, a text, a number, a truth value or None."""
    if isinstance(node, yaml.MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = _name(key_node)
            if key in result:
                raise _at(key_node, f"key {shown(key)} comes twice; remove one")
            result[key] = _value(loader, value_node)
        return result
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, one) for one in node.value]
    return _scalar(loader, node)


def _name(node: yaml.Node) -> str:
    """Return a key as it was written: also `on`, `~` and `1` are names."""
    if not isinstance(node, yaml.ScalarNode):
        raise _at(node, "a key must be a name, but is a list or mapping; write a name")
    return _text(node)


def _text(node: yaml.ScalarNode) -> str:
    text: str = node.value
    if not text.isprintable():
        strange = [c for c in text if category(c) in ("Cc", "Cs") and c not in "\n\t"]
        if strange:
            raise _at(node, f"holds the character {shown(strange[0])}; remove it")
    return text


def _scalar(loader: _Loader, node: yaml.Node) -> Any:  # noqa: ANN401
    assert isinstance(node, yaml.ScalarNode), "a node is a mapping, a list or a scalar"
    kind = node.tag.rpartition(":")[2]
    if kind not in _READERS:
        return _text(node)
    if len(node.value) > _LONGEST_NUMBER:
        raise _at(node, f"has a number of {len(node.value)} characters; shorten it")
    if kind in ("int", "float") and _OTHER_BASE.fullmatch(node.value):
        raise _at(node, f"{shown(node.value)} is no decimal number; write one, or a text in quotes")
    try:
        return _READERS[kind](loader, node)
    except (ValueError, OverflowError):
        raise _at(node, f"must be a number, but is {shown(node.value)}; correct it") from None


_STR, _BREAKS = "tag:yaml.org,2002:str", {"\x85", "\u2028", "\u2029"}


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer without anchors, which `read` refuses."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002
        """Return True: what comes twice is written twice."""
        return True


def _written(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Write a text; one that holds another alphabet's line break is escaped, else it would fold."""
    return dumper.represent_scalar(_STR, text, style='"' if _BREAKS & {*text} else None)


_Dumper.add_representer(str, _written)


def dump(content: dict[str, Any]) -> str:
    """Return YAML text in the order of the mapping, exact in every number."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=96)
