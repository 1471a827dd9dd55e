"""What README and docs/ promise, held against the code: options, names, files and examples."""

import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
import tomllib

import optuna
import pytest
import torch

from pipeline import pruners, samplers
from pipeline.problem.problem import RECIPES, SPACES, SearchProblem
from regmix import registry
from regmix.config import TASK, own_options
from regmix.plugins import FOLDERS, Plugins, install
from regmix.ranges import check
from regmix.source_importer import SourceImporter
from regmix.training.trainer import RegMixTrainer
from tests.support.house import ALLOWED, COMMANDS, ROOT, arrows, floors
from tests.support.pages import blocks, write_plugins

PAGES = sorted(
    page for folder in (ROOT, ROOT / "docs", ROOT / "benchmarks") for page in folder.glob("*.md")
)
ROOMS = "pipeline|regmix|tests|docs|benchmarks|search_spaces"
TYPED = (
    *("search", "confirm", "compare", "export", "train", "evaluate"),
    *("attack", "status", "report", "ui"),
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def name(page):
    return str(page.relative_to(ROOT))


def section(page, title):
    """The text from a heading whose first words are these up to the next of its level or above."""
    text = page.read_text()
    head = re.search(rf"^(#+) {re.escape(title)}.*$", text, re.M)
    assert head is not None, f"{name(page)} has no heading {title!r}"
    rest = text[head.end() :]
    end = re.search(rf"^#{{1,{len(head[1])}}} ", rest, re.M)
    return rest[: end.start()] if end else rest


def rows(text, header):
    """The rows of the table whose header begins so, as lists of their cells."""
    lines = text[text.index(f"| {header} |") :].splitlines()[2:]
    table = [line for line in lines[: (lines + [""]).index("")] if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def plain(cell):
    return cell.strip("`")


def test_the_pages_were_found():
    assert {"README.md", "docs/search.md", "benchmarks/README.md"} <= set(map(name, PAGES))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_no_line_is_longer_than_100_characters(page):
    long = [line for line in page.read_text().splitlines() if len(line) > 100]
    assert not long


def test_the_readme_is_short():
    assert (ROOT / "README.md").stat().st_size <= 7000


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_within_the_project_leads_to_a_file(page):
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    inside = [link for link in links if "://" not in link]
    assert not [link for link in inside if not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_a_page_names_exists(page):
    named = re.findall(rf"(?<![\w/])(?:{ROOMS})/[\w./-]*\.\w+", page.read_text())
    named += re.findall(rf"`((?:{ROOMS})/[\w./-]*)`", page.read_text())
    assert not [path for path in named if not (ROOT / path).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_target_of_make_that_a_page_names_exists(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    quoted = re.findall(r"`([^`\n]*)`", page.read_text()) + blocks(page, "")
    named = {target for text in quoted for target in re.findall(r"^make ([a-z-]+)", text, re.M)}
    assert named <= targets


def command_help(command, capsys, monkeypatch):
    """Option -> its default as --help says it ('' where it says none)."""
    monkeypatch.setenv("COLUMNS", "500")
    with pytest.raises(SystemExit):
        importlib.import_module(f"pipeline.{command}").main(["--help"])
    text = re.sub(r"\n {10,}", "  ", capsys.readouterr().out)
    lines = re.findall(r"^  (--[a-z-]+)(.*)$", text, re.M)
    defaults = [re.search(r"\((?:default: )?([^()]*)\)$", rest) for _, rest in lines]
    return {
        option: found[1] if found else ""
        for (option, _), found in zip(lines, defaults, strict=True)
    }


@pytest.mark.parametrize("command", TYPED)
def test_every_option_of_a_command_is_described(command, capsys, monkeypatch):
    described = rows(section(ROOT / "docs" / "search.md", f"`{command}.py"), "option")
    known = command_help(command, capsys, monkeypatch)
    assert sorted(plain(row[0]) for row in described) == sorted(known)


@pytest.mark.parametrize("command", TYPED)
def test_a_default_that_is_a_value_is_the_one_that_help_says(command, capsys, monkeypatch):
    known = command_help(command, capsys, monkeypatch)
    for row in rows(section(ROOT / "docs" / "search.md", f"`{command}.py"), "option"):
        option, default = plain(row[0]), row[2]
        if re.fullmatch(r"\d+s?|`[a-z+]+`", default):
            assert known[option] == plain(default), option


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_option_in_an_example_is_one_of_its_command(page, capsys, monkeypatch):
    text = page.read_text().replace("\\\n", " ")
    for command, words in re.findall(r"pipeline/(\w+)\.py ([^\n`#]*)", text):
        if command in TYPED:
            options = set(re.findall(r"(?<!\S)--[a-z-]+", words))
            assert options <= {*command_help(command, capsys, monkeypatch), "--help"}


def typed(page):
    """The command lines that a page shows: command -> its words, as a shell divides them."""
    text = "\n".join(blocks(page, "")).replace("\\\n", " ")
    for command, words in re.findall(r"python pipeline/(\w+)\.py(.*)", text):
        yield command, shlex.split(words, comments=True)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_line_of_a_page_is_taken_by_its_command(page):
    for command, words in typed(page):
        module = importlib.import_module(f"pipeline.{command}")
        args = module.parser().parse_args(words) if words else None
        for option, folder in (("space", SPACES), ("recipe", RECIPES)):
            chosen = getattr(args, option, None) or ""
            assert not chosen or chosen.endswith(".yaml") or (folder / f"{chosen}.yaml").exists()


def test_the_pages_show_command_lines():
    assert {command for page in PAGES for command, _ in typed(page)} >= {"search", "status"}


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("sampler", samplers.names),
        ("pruner", pruners.names),
        ("space", lambda: [path.stem for path in SPACES.glob("*.yaml")]),
        ("recipe", lambda: [path.stem for path in RECIPES.glob("*.yaml")]),
    ],
)
def test_every_name_that_can_be_chosen_is_described(header, names):
    described = rows((ROOT / "docs" / "search.md").read_text(), header)
    assert sorted(plain(row[0]) for row in described) == sorted(names())


def value(option, cell):
    """What a table's cell says, as the option's own rule reads it."""
    return check("docs/search.md", "a default", plain(cell), option.annotation)


@pytest.mark.parametrize("task", [True, False], ids=["task", "method"])
def test_every_name_of_a_configuration_is_described_with_its_default(task):
    text = section(ROOT / "docs" / "search.md", "What a recipe or")
    table = text if task else text[text.index("Names of the method") :]
    described = {plain(row[0]): row[1] for row in rows(table, "name")}
    described.pop("data", None)
    own = {key: option for key, option in own_options().items() if (key in TASK) == task}
    assert {key: value(own[key], cell) for key, cell in described.items()} == {
        key: option.default for key, option in own.items()
    }


def test_every_variant_is_described_with_its_options():
    text = section(ROOT / "docs" / "search.md", "What a recipe or")
    described = {(row[0], plain(row[1])): row[2] for row in rows(text, "kind")}
    kinds = ("loss", "attack", "model")
    assert set(described) == {(kind, own) for kind in kinds for own in registry.names(kind)}
    assert set(re.findall(r"`(\w+)`", rows(text, "name")[0][2])) == set(registry.names("data"))
    described["loss", "regmix"] += text[text.index("The four readings") :]
    for (kind, own), cell in described.items():
        said = dict(re.findall(r"`(\w+)=([\w.]+)`", cell))
        options = registry.options(kind, own)
        assert said.keys() - {"initialization"} == options.keys()
        for key, option in options.items():
            assert value(option, said[key]) == option.default


def says_something(path):
    """Whether a file holds more than a docstring."""
    body = ast.parse(path.read_text()).body
    return any(not isinstance(node, ast.Expr) for node in body)


def test_the_architecture_names_every_file_once():
    text = (ROOT / "docs" / "architecture.md").read_text()
    listed = re.findall(r"^- `((?:pipeline|regmix)/[\w/]+\.py)`", text, re.M)
    files = [
        path.relative_to(ROOT).as_posix()
        for room in ("pipeline", "regmix")
        for path in (ROOT / room).rglob("*.py")
        if says_something(path)
    ]
    assert sorted(listed) == sorted(files)


def test_the_table_of_imports_is_that_of_the_house():
    page = section(ROOT / "docs" / "architecture.md", "Who may import whom")
    described: dict[str, set[str]] = {}
    for _, cell, others in rows(page, "floor"):
        named = set(described) if others.startswith("all") else set(re.findall(r"`(\w+)`", others))
        described[plain(cell)] = named - ({"execution"} if plain(cell) == COMMANDS else set())
    assert described == ALLOWED


def test_the_floors_of_the_rooms_are_those_of_the_source():
    page = section(ROOT / "docs" / "architecture.md", "Who may import whom")
    described = {plain(cell): int(floor) for floor, cell, _ in rows(page, "floor")}
    inside = {arrow for arrow in arrows() if set(arrow) <= ALLOWED.keys()}
    found = [level & ALLOWED.keys() for level in floors(inside)]
    assert described == {room: number for number, level in enumerate(found, 1) for room in level}


def test_every_method_that_the_pages_name_exists():
    methods = {
        f"{part.name}.{member.name}"
        for room in ("pipeline", "regmix")
        for path in (ROOT / room).rglob("*.py")
        for part in ast.walk(ast.parse(path.read_text()))
        if isinstance(part, ast.ClassDef)
        for member in part.body
        if isinstance(member, ast.FunctionDef)
    }
    classes = {method.partition(".")[0] for method in methods}
    for page in PAGES:
        named = set(re.findall(r"`([A-Z]\w+\.[a-z]\w+)", page.read_text()))
        assert {name for name in named if name.partition(".")[0] in classes} <= methods


def test_each_command_has_a_name_in_the_environment():
    scripts = PROJECT["scripts"]
    assert scripts.keys() == {f"regmix-{command}" for command in TYPED}
    for command in TYPED:
        module, _, function = scripts[f"regmix-{command}"].partition(":")
        assert module == f"pipeline.{command}"
        assert callable(getattr(importlib.import_module(module), function))


def test_changelog_and_citation_speak_of_this_version():
    version = PROJECT["version"]
    newest = re.search(r"^## \[([\d.]+)\] - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    citation = (ROOT / "CITATION.cff").read_text()
    assert newest is not None and newest[1] == version
    assert f"\nversion: {version}\ndate-released: {newest[2]}\n" in citation


def test_the_readme_trains_from_python(capsys):
    (code,) = blocks(ROOT / "README.md", "python")
    exec(compile(code, "README.md", "exec"), {})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == ["1", "2", "3"]
    assert all(0 <= float(share) <= 1 for line in lines for share in line[1:])


@pytest.fixture
def own_plugins(tmp_path, monkeypatch):
    """The folder that `docs/extending.md` describes; its plug-ins are gone after the test."""
    monkeypatch.setattr(registry, "_plugins", SourceImporter("regmix_plugins"))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    folder = write_plugins(tmp_path / "my_plugins")
    install(Plugins.read(folder))
    yield folder
    for module in [module for module in sys.modules if module.startswith("regmix_plugins")]:
        del sys.modules[module]


def problem_of_the_page(folder):
    return SearchProblem.load(str(folder / "focal.yaml"), str(folder / "stripes.yaml"), {})


def test_the_folder_of_the_page_holds_every_kind_that_it_shows(own_plugins):
    shown = {path.parent.name for path in own_plugins.glob("*/*.py")}
    assert shown == set(FOLDERS.values()) - {"attacks"}
    assert "focal" in registry.names("loss") and "stripes" in registry.names("data")


def test_the_loss_of_the_page_can_be_searched_on_its_data_with_its_network(own_plugins):
    problem = problem_of_the_page(own_plugins)
    config = problem.config({"focus": 3.0, "epsilon_ratio": 1.0})
    assert (config.loss.name, dict(config.loss.options)) == ("focal", {"focus": 3.0})
    assert problem.default()["focus"] == 1.0
    images = registry.find("data", config.data.name, config.data.options)("train")
    trainer = RegMixTrainer(config, config.split(images), torch.device("cpu"))
    last = list(trainer.epochs())[-1]
    assert last.final is not None and last.epoch == 6
    assert last.valid_clean > 0.5, "stripes are easy to tell, chance is 0.25"


def test_the_identity_of_the_page_holds(own_plugins):
    test = own_plugins / "test_focal.py"
    scope = {"__file__": str(test)}
    exec(test.read_text(), scope)
    scope["test_without_focus_it_is_cross_entropy"]()


@pytest.mark.process
def test_the_test_of_the_page_passes_where_a_reader_types_it(tmp_path):
    write_plugins(tmp_path / "my_plugins")
    typed = [sys.executable, "-m", "pytest", "my_plugins/test_focal.py"]
    ran = subprocess.run(
        typed,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0 and "1 passed" in ran.stdout, ran.stdout


def test_the_pruners_of_the_page_give_reasons(own_plugins):
    study = optuna.create_study(direction="maximize")
    for number, value in enumerate((0.5, 0.45, 0.4, 0.3, 0.1)):
        trial = study.ask()
        trial.report(value, 3)
        if number < 4:
            study.tell(trial, value)
    last = study.get_trials(deepcopy=False)[-1]
    by_floor = pruners.build("floor", 6).stop(study, last)
    by_rank = pruners.build("percentile", 6).stop(study, last)
    assert by_floor is not None and "0.100 at epoch 3 is below 0.2" in by_floor.reason
    assert by_rank is not None and by_rank.reason.startswith("percentile ")
    best = study.get_trials(deepcopy=False)[0]
    assert pruners.build("floor", 6).stop(study, best) is None


def test_the_sampler_of_the_page_gives_a_trial_the_same_parameters_each_time(own_plugins):
    space = problem_of_the_page(own_plugins).space
    build = samplers.factory("joint_tpe", 0, space)

    def sampled(number):
        study = optuna.create_study(sampler=build(number))
        return space.suggest(study.ask())

    assert sampled(1) == sampled(1) != sampled(2)


def test_the_space_of_the_readme_can_be_searched(tmp_path):
    (space,) = blocks(ROOT / "README.md", "yaml")
    (tmp_path / "direction.yaml").write_text(space)
    problem = SearchProblem.load(str(tmp_path / "direction.yaml"), "digits", {})
    assert set(problem.space.ranges) == {"alpha", "beta", "gradient_flow"}
    assert problem.config(problem.default()).loss.name == "regmix"
