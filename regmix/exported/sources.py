"""The source files that a network is built by, gathered so that they need PyTorch alone."""

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.abc import InspectLoader

from regmix import registry
from regmix.errors import InputError, cut
from regmix.plugins import FOLDERS

_ALONE = frozenset({"torch"}) | sys.stdlib_module_names
_OURS = ("regmix", "regmix_plugins")
_REMEDY = "write it with torch alone, or take another --format"


@dataclass(frozen=True)
class Gathered:
    """Files of a package that holds a network, and all that they import."""

    files: Mapping[str, str]  # path within the package, such as 'regmix/models/x.py' -> source
    module: str  # the one that defines the network's function, by its name within the package


def gather(name: str, further: tuple[str, ...] = ()) -> Gathered:
    """Return the files behind a network, which import each other relatively.

    Args:
        name: the network, the tool's own or a plug-in's.
        further: dotted names of modules of the tool that are wanted beside it.

    Raises:
        InputError: where one of them imports more than PyTorch, Python's own library, and files of
            the tool or of the plug-in folder.
    """
    root = _OURS[registry.is_plugin("model", name)]
    start = f"{root}.{FOLDERS['model']}.{name}"
    found, waiting = dict[str, str](), [start, *further]
    while waiting:
        module = waiting.pop()
        if module not in found:
            found[module], imported = _relative(module)
            waiting += imported
    return Gathered({f"{m.replace('.', '/')}.py": found[m] for m in sorted(found)}, start)


def _relative(module: str) -> tuple[str, list[str]]:
    """Return a module's source with relative imports of ours, and the modules that these are."""
    source = _source(module)
    assert source is not None, "only what has a source is waited for"
    text, place = source
    lines, imported = text.splitlines(keepends=True), list[str]()
    for node in _executed(ast.parse(text)):
        where = f"{place}:{node.lineno}"
        if isinstance(node, ast.Import):
            for alias in node.names:
                _check(alias.name, where)
                if alias.name.partition(".")[0] in _OURS:
                    raise InputError(
                        f"{where}: import {cut(alias.name)} must be a `from {_OURS[0]}"
                        "... import ...` to be taken away; write it so"
                    )
            continue
        target = _absolute(node, module)
        _check(target, where)
        if target.partition(".")[0] not in _OURS:
            continue
        imported += _modules(target, node, where)
        if not node.level:
            dots, line = "." * (module.count(".") + 1), lines[node.lineno - 1]
            changed = re.sub(rf"\bfrom\s+{re.escape(target)}\b", f"from {dots}{target}", line)
            if changed == line:
                raise InputError(f"{where}: an import must begin on one line; write it so")
            lines[node.lineno - 1] = changed
    return "".join(lines), imported


def _check(name: str, where: str) -> None:
    """Raise InputError for a package that is neither PyTorch, nor Python's, nor ours."""
    root = name.partition(".")[0]
    if root not in _ALONE and root not in _OURS:
        raise InputError(
            f"{where}: imports {cut(root)}, which what needs torch alone can't; {_REMEDY}"
        )


def _absolute(node: ast.ImportFrom, module: str) -> str:
    """Return the dotted name that a `from` names, in a module of this name."""
    above = module.split(".")[: -node.level] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def _modules(target: str, node: ast.ImportFrom, where: str) -> list[str]:
    """Return the modules of ours that a `from TARGET import ...` loads."""
    inner = [f"{target}.{alias.name}" for alias in node.names]
    found = inner if _source(target) is None else [target]
    for module in found:
        if _source(module) is None or module == registry.__name__:
            raise InputError(
                f"{where}: {cut(module)} can't be taken away with the network; {_REMEDY}"
            )
    return found


def _source(module: str) -> tuple[str, str] | None:
    """Return text and path of a module of ours; None for a package, and where there is none."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # what is above it is no package
        return None
    if spec is None or spec.submodule_search_locations is not None:
        return None
    assert isinstance(spec.loader, InspectLoader), "files and texts have a source"
    text = spec.loader.get_source(module)
    return None if text is None else (text, str(spec.origin))


def _executed(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports below a node, without those for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            child.body = []
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        yield from _executed(child)
