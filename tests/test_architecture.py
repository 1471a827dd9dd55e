"""The rules of the house, read from the source: who may import whom, and what is written where."""

import ast
import re
import subprocess
import sys

import pytest

from tests.support.house import (
    ALLOWED,
    ENGINE,
    ENGINE_ALLOWED,
    FILES,
    MODULES,
    NOT_IN_A_WORKER,
    OUTSIDE,
    ROOT,
    WORKER,
    arrows,
    closure,
    floors,
    imports,
    module,
    room,
    roots,
    statements,
)


def wrong(rule):
    """The names of the files that break a rule: all are told at once."""
    return [module(path) for path in FILES if not rule(path)]


def inside(*rooms):
    return [path for name, path in MODULES.items() if room(name) in rooms]


def test_the_files_were_found():
    known = {"regmix.training.trainer", "regmix.losses.regmix", "pipeline.search"}
    assert known <= set(MODULES)
    assert "torch" in roots(MODULES["regmix.training.trainer"])
    memory = MODULES["regmix.training.perturbation_memory"]
    assert "regmix.projection" in imports(memory)
    assert {room(name) for name in known} == {"regmix.training", "regmix.losses", "commands"}


def test_imports_in_functions_and_for_type_checkers_alone_count():
    source = "if TYPE_CHECKING:\n    import a\ndef f():\n    from b import c\n"
    assert len(list(statements(ast.parse(source)))) == 2


def test_every_room_imports_what_it_may_and_nothing_else():
    broken = [
        f"{name} imports {target}"
        for name, path in MODULES.items()
        for target in imports(path) & MODULES.keys()
        if not _may(room(name), room(target))
    ]
    assert broken == []


def _may(one, other):
    if one == other:
        return True
    if one.startswith(ENGINE):
        return other in ENGINE_ALLOWED[one]
    return other.startswith(ENGINE) or other in ALLOWED[one]


def test_the_table_of_rooms_is_that_of_the_source():
    rooms = {room(name) for name in MODULES}
    assert rooms == ALLOWED.keys() | ENGINE_ALLOWED.keys()


def test_no_command_imports_another_one():
    commands = {name for name in MODULES if room(name) == "commands"} - {"pipeline"}
    assert len(commands) >= 6
    for name in commands:
        assert not imports(MODULES[name]) & commands, name


def test_there_are_at_most_20_rooms_on_8_floors_and_no_circle():
    levels = floors(arrows())
    ours = [{one for one in level if not one.startswith(ENGINE)} for level in levels]
    assert sum(len(level) for level in ours) <= 20
    assert sum(bool(level) for level in ours) <= 8


def test_a_circle_of_rooms_would_be_told():
    edges = arrows() | {("base", "commands")}
    try:
        floors(edges)
    except ValueError as error:
        assert "base" in str(error) and "commands" in str(error)
    else:
        raise AssertionError("a circle was not seen")


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


def test_every_import_of_ours_is_of_a_module_that_exists():
    def exists(path):
        ours = {name for name in imports(path) if name.partition(".")[0] in ("regmix", "pipeline")}
        return ours <= set(MODULES)

    assert wrong(exists) == []


def test_ray_mlflow_rich_and_optuna_stay_in_their_rooms():
    for package, rooms in OUTSIDE.items():
        users = {room(name) for name, path in MODULES.items() if package in roots(path)}
        assert users and users <= rooms, package


def test_what_a_worker_loads_is_light():
    loaded = set().union(*(closure(name) for name in WORKER))
    assert "regmix.training.trainer" in loaded and "pipeline.trial_files.disk" in loaded
    for name in sorted(loaded):
        assert not roots(MODULES[name]) & NOT_IN_A_WORKER, name


@pytest.mark.process
def test_a_worker_process_holds_neither_optuna_nor_mlflow():
    # what Ray and torch load for themselves is theirs: rich and argparse may be among it
    code = "import sys, pipeline.execution.worker, pipeline.execution.messages\n"
    code += "print(sorted({'optuna', 'mlflow', 'ray', 'rich'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stdout + found.stderr


def test_stored_attributes_are_read_and_written_in_one_file():
    # the storage hands every attribute on, and knows none
    owners = {"pipeline.study.records", "pipeline.study.followed_storage"}

    def owner(path):
        return module(path) in owners or not re.search(
            r"\buser_attrs?\b|set_user_attr", path.read_text()
        )

    assert wrong(owner) == []


def test_private_parts_of_optuna_are_touched_in_one_file():
    private = re.compile(r"\._(storage|trial_id|study_id|get_stale_trial_ids)\b|system_attrs")

    # one calls them, the other is a storage of Optuna's itself
    owners = {"pipeline.study.optuna_private", "pipeline.study.followed_storage"}

    def owner(path):
        return module(path) in owners or not private.search(path.read_text())

    assert wrong(owner) == []


def test_the_engine_knows_no_search():
    def free(path):
        ours = module(path).startswith("regmix")
        return not ours or not roots(path) & {"pipeline", "ray", "optuna", "mlflow", "argparse"}

    assert wrong(free) == []


def test_losses_attacks_and_models_need_torch_and_siblings_alone():
    for path in inside("regmix.losses", "regmix.attacks", "regmix.models"):
        assert roots(path) <= {"torch", "regmix"} | sys.stdlib_module_names, path


def test_a_loss_or_an_attack_does_not_reach_for_the_trainer_or_its_data():
    small = {"interfaces", "projection", "ranges", "losses", "attacks"}
    for path in inside("regmix.losses", "regmix.attacks"):
        siblings = {name.split(".")[1] for name in imports(path) if name.startswith("regmix.")}
        assert siblings <= small, path


def test_torchvision_is_imported_in_one_place():
    # beside a CPU build of torch a bare import of it fails
    def rule(path):
        return "torchvision" not in roots(path) or module(path) == "regmix.torchvision_cpu"

    assert wrong(rule) == []


def test_every_file_has_a_name_that_says_what_it_holds():
    vague = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert wrong(lambda path: not vague & {path.stem, *path.parts}) == []
