"""Commands that are printed run as they are printed: without the environment, in any folder."""

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.base import early, installed
from pipeline.base.commands import command, near, typed
from pipeline.base.commands import given as options
from tests.support.processes import ROOT, call, run
from tests.support.studies import search_arguments, states

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
SCRIPTS = (
    *("search", "confirm", "compare", "export", "train", "evaluate"),
    *("attack", "status", "report", "ui"),
)
RACE = "wamr-digits-confirm"


@settings(deadline=None)
@given(st.lists(NAMES))
def test_a_shell_reads_the_words_that_were_meant(words):
    _, script, *read = shlex.split(command("export.py", *words))
    assert Path(script).name == "export.py"
    if not any("://" in word or "=" in word for word in words):  # else a password may be masked
        assert read == words


def test_paths_are_those_from_the_working_folder_where_they_lie_below_it(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "executable", str(ROOT / ".venv" / "bin" / "python"))
    assert command("ui.py", "a b") == ".venv/bin/python pipeline/ui.py 'a b'"
    monkeypatch.chdir(tmp_path)
    assert command("ui.py").startswith(f"{ROOT}/.venv/bin/python {ROOT}/pipeline/ui.py")
    assert near(tmp_path / "x") == "./x" and near(Path("x")) == "x"
    monkeypatch.chdir(ROOT / "pipeline")
    assert command("ui.py").endswith(" ./ui.py")
    assert options({"--runs": None, "--study": "s"}) == ["--study", "s"]


@pytest.mark.parametrize("called", ["pipeline/search.py", "/usr/bin/regmix-search"])
def test_the_command_that_goes_on_is_the_one_that_was_typed(monkeypatch, called):
    words = ["--space", "my space.yaml", "--storage", "postgresql://u:hunter2@h/d"]
    monkeypatch.setattr(sys, "argv", [called, *words])
    assert "pipeline/search.py --space 'my space.yaml' --storage" in typed()
    assert "hunter2" not in typed()


def test_a_password_is_masked_in_a_command():
    printed = command("export.py", "--storage", "postgresql://u:hunter2@h/d")
    assert "hunter2" not in printed and "u:***@h" in printed


def test_no_message_names_a_command_without_its_python():
    """`command` alone writes one; the header of an exported file says how, for any machine."""
    bare = re.compile(r"python3? pipeline/|regmix-(confirm|compare|export|train|evaluate|ui)\b")
    known = {"pipeline/problem/exported.py"}
    for path in (ROOT / "pipeline").rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text()))
        texts = [str(node.value) for node in nodes if isinstance(node, ast.Constant)]
        if str(path.relative_to(ROOT)) not in known:
            assert not [text for text in texts if bare.search(text)], path


def test_the_guard_asks_for_what_the_project_needs_and_any_python_reads_it(monkeypatch, capsys):
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[\[<>=]", text)[0] for text in asked["dependencies"]}
    assert installed.PACKAGES.keys() == names
    assert asked["requires-python"] == ">=" + ".".join(map(str, installed.OLDEST))
    for script in SCRIPTS:
        path = ROOT / "pipeline" / f"{script}.py"
        source = path.read_text()
        ast.parse(source, feature_version=(3, 8))
        before = source.partition("installed.prove(__file__)")[0]
        loaded = {
            name.partition(".")[0] for name in re.findall(r"^(?:from|import) (\S+)", before, re.M)
        }
        assert loaded <= {*sys.stdlib_module_names, "pipeline"}, script
    for module in (installed, early):
        ast.parse(Path(module.__file__).read_text(), feature_version=(3, 8))
    monkeypatch.setitem(installed.PACKAGES, "nosuch", "nosuch_at_all")
    with pytest.raises(SystemExit) as ended:
        installed.prove("pipeline/search.py")
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("search: ") and error.count("\n") == 1
    assert error.endswith(" (the package 'nosuch' is missing)\n")
    monkeypatch.setattr(sys, "version_info", (3, 9, 1))
    assert installed.missing() == "Python 3.11 or newer is needed, but this is 3.9"


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.process
def test_without_the_environment_a_command_says_what_is_missing(script):
    bare = [os.path.realpath(sys.executable), "-I", "-S", str(ROOT / "pipeline" / f"{script}.py")]
    ended = subprocess.run(bare, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})
    assert ended.returncode == 2 and ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    said, _, lack = line.partition(" (")
    assert said.startswith(f"{script}: ") and said.endswith(f"pipeline/{script}.py")
    assert (
        lack == f"{len(installed.PACKAGES)} packages are missing: cmaes, filelock, matplotlib, ...)"
    )


@pytest.mark.process
def test_a_python_without_docstrings_is_told_before_ray_waits_for_its_processes():
    command = [sys.executable, "-OO", str(ROOT / "pipeline" / "search.py"), "--help"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2 and ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert "strip the docstrings that Ray reads: leave them out" in line and len(line) < 300


@pytest.mark.process(seconds=20)
def test_what_a_search_prints_can_be_pasted_into_a_bare_shell(tmp_path, cluster):
    """In a folder whose name holds all that a shell, a URL and MLflow could stumble over."""
    runs = tmp_path / "a b?c#d%41 'e' $HOME" / ":memory:"
    more = (*cluster, "--concurrency", "1")
    typed = search_arguments(runs, *more, epochs=1, trials=2, confirm=True)
    found = run("search", *typed, cwd=tmp_path)
    assert found.code == 0, found.err
    assert found.err == ""  # MLflow shows all of it
    pairs = {(t.params["finalist"], t.params["seed"]) for t in states(runs, RACE).values()}
    assert pairs == {(finalist, seed) for finalist in (0, 1) for seed in (1, 2, 3)}
    answer, _, printed = found.out.rpartition("\nnext:\n")
    assert "\nAnswer: trial " in answer and answer.count("\nBest: trial ") == 1
    printed = printed.splitlines()
    commands = [line.strip() for line in printed if ".py" in line]
    assert [_script(line) for line in commands] == ["ui", "confirm", "export", "train", "evaluate"]
    by_name = {_script(line): line for line in commands}
    exported = paste(by_name["export"], tmp_path)
    assert exported.returncode == 0, exported.stderr
    (line,) = [line for line in exported.stdout.splitlines() if line.startswith("next: ")]
    assert (tmp_path / shlex.split(line.removeprefix("next: "))[2]).is_file()
    for name in ("train", "evaluate"):
        assert (tmp_path / shlex.split(by_name[name])[2]).is_file()
    for name in ("ui", "confirm"):
        assert str(runs) in shlex.split(by_name[name])
        helped = paste(f"{by_name[name]} --help", tmp_path)
        assert helped.returncode == 0 and "usage" in helped.stdout, helped.stderr
    for study in ("wamr-digits", RACE):
        synced = call("search", "--study", study, "--sync", "--runs", runs)
        assert (synced.code, synced.err) == (0, "")
    stray = {path.name for path in tmp_path.iterdir()}
    assert stray == {"a b?c#d%41 'e' $HOME", "exported"}


def _script(line):
    return Path(shlex.split(line)[1]).stem


def paste(line, folder):
    bare = ["env", "-i", "PATH=/usr/bin:/bin", f"HOME={folder}", "bash", "-c", line]
    return subprocess.run(bare, cwd=folder, capture_output=True, text=True, timeout=200)
