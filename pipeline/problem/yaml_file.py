"""YAML as data only: nothing is executed, and no key is silently dropped."""

from pathlib import Path
from typing import Any

import yaml

from regmix.errors import InputError


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, but for a key that comes twice: PyYAML keeps the last one."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in result:
            line = key_node.start_mark.line + 1
            raise InputError(f"line {line}: key {key!r} comes twice; remove one")
        result[key] = loader.construct_object(value_node, deep=True)
    return result


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds.

    Raises:
        InputError: where it can't be read, is no YAML, or is no mapping of names.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise InputError(f"{path}: can't be read ({reason}); check the path") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "no YAML"
        raise InputError(f"{path}{line}: {problem}; correct the YAML") from None
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise InputError(
            f"{path}: must be a mapping of names to values, but is not; see docs/extending.md"
        )
    return content


def dump(content: dict[str, Any]) -> str:
    """Return YAML text in the order of the mapping, exact in every number."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=96)
