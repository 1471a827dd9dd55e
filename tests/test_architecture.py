"""The rules of the house, read from the source: who may import whom."""

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "regmix").rglob("*.py")) + sorted((ROOT / "pipeline").rglob("*.py"))
OURS = {"regmix", "pipeline"}


def module(path):
    """The dotted name of a file: a package's is that of its folder."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(path): path for path in FILES}


def inside(folder):
    return [path for path in FILES if path.is_relative_to(ROOT / folder)]


def statements(node):
    """Every import below a node, those in functions too, but none for type checkers alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        yield from statements(child)


@cache
def imports(path):
    """The dotted names a file imports; `from a import b` is a.b where that is a module."""
    found = set()
    for node in statements(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        assert node.level == 0, f"{path} imports relatively"
        for alias in node.names:
            deeper = f"{node.module}.{alias.name}"
            found.add(deeper if deeper in MODULES else node.module)
    return found


def roots(path):
    return {name.partition(".")[0] for name in imports(path)}


def test_the_files_were_found():
    assert {"regmix.training.trainer", "regmix.losses.regmix", "pipeline.search"} <= set(MODULES)
    assert "torch" in roots(ROOT / "regmix" / "trainer.py")
    assert "regmix.projection" in imports(ROOT / "regmix" / "memory.py")


@pytest.mark.parametrize("path", inside("regmix"), ids=module)
def test_the_engine_knows_no_search(path):
    assert not roots(path) & {"pipeline", "ray", "optuna", "mlflow"}


@pytest.mark.parametrize(
    "path",
    [path for room in ("losses", "attacks", "models") for path in inside(f"regmix/{room}")],
    ids=module,
)
def test_losses_attacks_and_models_need_torch_and_siblings_alone(path):
    assert roots(path) <= {"torch", "regmix"} | sys.stdlib_module_names


@pytest.mark.parametrize("path", inside("regmix/losses") + inside("regmix/attacks"), ids=module)
def test_a_loss_or_an_attack_does_not_reach_for_the_trainer_or_its_data(path):
    small = {"attacked", "ball", "branches", "divergence", "ranges"}
    rooms = {"losses", "attacks"}
    siblings = {name.split(".")[1] for name in imports(path) if name.startswith("regmix.")}
    assert siblings <= small | rooms


@pytest.mark.parametrize("path", FILES, ids=module)
def test_torchvision_is_imported_in_one_place(path):
    # beside a CPU build of torch a bare import of it fails; regmix.vision knows how
    assert "torchvision" not in roots(path) or path == ROOT / "regmix" / "vision.py"


def ancestors(name):
    parts = name.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts))}


def test_no_module_imports_itself_by_way_of_others():
    """Importing a.b runs a first: a package's __init__ counts as imported by its importers."""
    edges = {}
    for name, path in MODULES.items():
        found = {target for target in imports(path) if target in MODULES}
        found |= {above for target in found for above in ancestors(target)}
        edges[name] = (found - ancestors(name)) - {name}
    done, trail = set(), []

    def visit(name):
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name not in done:
            trail.append(name)
            for target in sorted(edges[name]):
                visit(target)
            done.add(trail.pop())

    for name in sorted(edges):
        visit(name)
    assert done == set(MODULES)


@pytest.mark.parametrize("path", FILES, ids=module)
def test_every_file_has_a_name_that_says_what_it_holds(path):
    assert not {"utils", "util", "helpers", "helper", "misc", "common"} & set(path.parts)
    assert path.stem not in {"utils", "util", "helpers", "helper", "misc", "common"}


@pytest.mark.parametrize("path", FILES, ids=module)
def test_every_import_of_ours_is_of_a_module_that_exists(path):
    ours = {name for name in imports(path) if name.partition(".")[0] in OURS}
    assert ours <= set(MODULES)
