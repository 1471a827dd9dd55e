"""The rooms of `pipeline/` and `regmix/`, who may import whom, and on which floor each room is.

`python -m tests.support.house` prints rooms, floors and arrows, measured from the source.

A room is a folder; the commands at the top of `pipeline/` are one room, and so is the root of
`regmix/`. Imports within functions count, and so do those for type checkers alone. Importing a.b
runs a first, so a package's `__init__` counts as imported by whoever imports from the package.
"""

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "regmix").rglob("*.py")) + sorted((ROOT / "pipeline").rglob("*.py"))
COMMANDS, ENGINE = "commands", "regmix"

# Room -> the rooms that it may import, beside itself and the engine.
ALLOWED: dict[str, set[str]] = {
    "base": set(),
    "problem": {"base"},
    "trial_files": {"base"},
    "study": {"base", "problem", "trial_files"},
    "forecast": {"study", "problem"},
    "samplers": {"study", "problem", "forecast"},
    "pruners": {"study", "problem", "forecast"},
    "execution": {"study", "problem", "trial_files", "base"},
    "race": {"study", "problem"},
    "tracking": {"study", "problem", "base"},
    "views": {"study", "problem", "race", "forecast"},
}
ALLOWED["driver"] = set(ALLOWED)
ALLOWED[COMMANDS] = set(ALLOWED) - {"execution"}

# Package -> the only rooms that may import it.
OUTSIDE: dict[str, set[str]] = {
    "ray": {"execution"},
    "mlflow": {"tracking"},
    "rich": {"views"},
    "matplotlib": {"views"},
    "optuna": {"study", "forecast", "samplers", "pruners", "race", "views"},
    "filelock": {"study", "tracking"},
    "sqlalchemy": {"base", "study"},
}

# Packages that no file imports which a worker loads.
NOT_IN_A_WORKER = {"rich", "argparse", "optuna", "mlflow"}
WORKER = ("pipeline.execution.actor", "pipeline.execution.worker")

# The engine's rooms -> the rooms of the engine that they may import, beside themselves.
ENGINE_ALLOWED: dict[str, set[str]] = {
    "regmix": set(),
    "regmix.__init__": {"regmix", "regmix.evaluation", "regmix.training", "regmix.exported"},
    "regmix.losses": {"regmix"},
    "regmix.attacks": {"regmix"},
    "regmix.models": {"regmix"},
    "regmix.data": {"regmix"},
    "regmix.evaluation": {"regmix"},
    "regmix.training": {"regmix", "regmix.evaluation"},
    "regmix.exported": {"regmix", "regmix.evaluation", "regmix.training"},
}


def module(path: Path) -> str:
    """Return the dotted name of a file: a package's is that of its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in FILES}


def statements(node: ast.AST):
    """Yield every import below a node, those in functions and for type checkers too."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        yield from statements(child)


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the dotted names a file imports; `from a import b` is a.b where that is a module."""
    found = set()
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        assert node.level == 0, f"{path} imports relatively"
        for alias in node.names:
            deeper = f"{node.module}.{alias.name}"
            found.add(deeper if deeper in MODULES else str(node.module))
    return frozenset(found)


def roots(path: Path) -> set[str]:
    """Return the first parts of the names that a file imports."""
    return {name.partition(".")[0] for name in imports(path)}


def room(name: str) -> str:
    """Return the room of a module."""
    parts = name.split(".")
    path = MODULES[name]
    if path.name == "__init__.py":
        parts.append("__init__")
    if name == ENGINE:  # the door: what `import regmix` gives is imported when it is asked for
        return f"{ENGINE}.__init__"
    if parts[0] == ENGINE:
        return f"{ENGINE}.{parts[1]}" if len(parts) > 2 else ENGINE
    return parts[1] if len(parts) > 2 else COMMANDS


def arrows() -> set[tuple[str, str]]:
    """Return which room imports which other one."""
    found = set()
    for name, path in MODULES.items():
        for target in imports(path) & MODULES.keys():
            # a package's `__init__` stands for its folder
            if room(name) != room(target):
                found.add((room(name), room(target)))
    return found


def floors(edges: set[tuple[str, str]]) -> list[set[str]]:
    """Return the rooms floor by floor: those that import nothing are on the first.

    Raises:
        ValueError: naming the rooms that import each other in a circle.
    """
    left = {room(name) for name in MODULES}
    found: list[set[str]] = []
    while left:
        ready = {one for one in left if not any(a == one and b in left for a, b in edges)}
        if not ready:
            raise ValueError(f"a circle: {', '.join(sorted(left))}")
        found.append(ready)
        left -= ready
    return found


def closure(start: str) -> set[str]:
    """Return all modules of ours that a module loads, by way of others too."""
    found, todo = set[str](), [start]
    while todo:
        name = todo.pop()
        if name in found or name not in MODULES:
            continue
        found.add(name)
        todo += imports(MODULES[name])
        parts = name.split(".")
        todo += [".".join(parts[:length]) for length in range(1, len(parts))]
    return found


def main() -> None:
    """Print what was measured."""
    edges = arrows()
    levels = floors(edges)
    for number, level in enumerate(levels, start=1):
        print(f"floor {number}: {', '.join(sorted(level))}")
    ours = {one for level in levels for one in level if not one.startswith(ENGINE)}
    held = [level for level in levels if level & ours]
    inside = [edge for edge in edges if set(edge) <= ours]
    print(
        f"pipeline: {len(ours)} rooms on {len(held)} floors, {len(inside)} arrows between them; "
        f"{sum(len(level) for level in levels)} rooms and {len(edges)} arrows with the engine; "
        "no circle"
    )


if __name__ == "__main__":
    main()
