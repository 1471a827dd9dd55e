"""An exported file and a kept evaluation are checked in every field before torch is imported."""

import os
import subprocess
import sys

import pytest
import yaml

from pipeline.problem import judgement
from regmix.errors import InputError
from regmix.exported.file import SCHEMA, Exported
from regmix.schema import Each, ListOf, MayLack, OrNone
from tests.support.processes import ROOT, call
from tests.support.trained import trained


@pytest.fixture(scope="module")
def _good(tmp_path_factory):
    place = tmp_path_factory.mktemp("good")
    trained(place / "mine.yaml", data="digits", train_images=200, eval_epsilon=0.25)
    assert call("evaluate", place / "mine.yaml", "--images", "10").code == 0
    return place


@pytest.fixture
def file(_good, tmp_path):
    """A good file with its weights and its evaluation, to be changed."""
    for path in _good.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / "mine.yaml"


def change(path, place, value):
    """Write a file with another value at a place such as ('machine', 'threads')."""
    content = yaml.safe_load(path.read_text())
    part = content
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    path.write_text(yaml.safe_dump(content))


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("weights", "file"), ".", "file must be a plain name beside this file, but is '.'"),
        (("weights", "file"), "..", "must be a plain name"),
        (("weights", "file"), "", "must be a plain name"),
        (("weights", "file"), "../mine.safetensors", "must be a plain name"),
        (("weights", "file"), "/dev/zero", "must be a plain name"),
        (("weights", "file"), ["x"], "weights: file must be text, but is ['x']"),
        (("weights", "file"), "pipe", "can't be read (it is no regular file)"),
        (("weights", "file"), "loop", "can't be read ("),
        (("weights", "file"), "folder", "can't be read (it is a folder)"),
        (("weights",), "mine.safetensors", "weights: must be a mapping of names to values"),
        (("machine", "threads"), None, "threads must be a whole number, but is None"),
        (("machine", "threads"), 10**9, "threads must lie in [1, 4096], but is 1000000000"),
        (("machine", "threads"), 0, "threads must lie in [1, 4096]"),
        (("machine",), [], "machine: must be a mapping"),
        (("metrics", "epoch"), -1, "epoch must be at least 1"),
        (("metrics", "train_loss"), float("nan"), "train_loss must be finite"),
        (("metrics", "train_loss"), float("inf"), "train_loss must be finite"),
        (("metrics", "co_detected"), 1, "co_detected must be true or false"),
        (("metrics", "final"), 3, "final: must be a mapping"),
        (("metrics", "final", "hits"), 10**6, "its counts disagree"),
        (("metrics", "final", "survivors"), "zz", "its counts disagree"),
        (("metrics", "final", "masking", "random"), "x", "random must be a number"),
        (("metrics", "final", "masking", "other"), 1, "masking: unknown key 'other'"),
        (("versions", "torch"), 2.9, "versions: torch must be text, but is 2.9"),
        (("origin", "rank"), 0, "origin: rank must be at least 1"),
        (("origin", "else"), 0, "origin: unknown key 'else'"),
        (("plugins",), ["x"], "plugins: must be a mapping"),
        (("plugins",), {"losses/x.py": 1}, "plugins: losses/x.py must be text"),
        (("images", "classes"), "abc", "classes: must be a list, but is 'abc'"),
        (("images", "shape"), [1, 8], "shape: must be a list of 3, but is [1, 8]"),
        (("images", "fingerprint"), 12, "fingerprint must be text"),
        (("config", "lr"), "fast", "config: lr must be a number"),
        (("config",), "x", "config: must be a mapping"),
        (("changed_at",), [0], "changed_at must be at least 1"),
        (("other",), 1, "unknown key 'other'"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(file, place, value, expected):
    os.mkfifo(file.with_name("pipe"))
    file.with_name("folder").mkdir()
    file.with_name("loop").symlink_to(file.with_name("loop"))
    change(file, place, value)
    for command in ("evaluate", "train"):
        line = call(command, file).one_line
        assert expected in line and str(file.parent) in line
    line = call("search", "--recipe", "digits", "--runs", file.parent / "r", "--enqueue", file)
    assert expected in line.one_line
    assert not (file.parent / "r" / "studies").exists()


def _leaves(rule, place=()):
    """Every place of a file that holds one value, by its schema."""
    if isinstance(rule, MayLack | OrNone):
        yield from _leaves(rule.rule, place)
    elif isinstance(rule, dict):
        for name, part in rule.items():
            if name != "trained_again":
                yield from _leaves(part, (*place, name))
    elif not isinstance(rule, Each | ListOf):
        yield place


@pytest.mark.parametrize("place", [*_leaves(SCHEMA)], ids=".".join)
def test_no_field_takes_a_mapping_for_a_value(file, place):
    content = yaml.safe_load(file.read_text())
    part = content
    for key in place[:-1]:
        part = part.setdefault(key, {}) if part.get(key) is None else part[key]
    part[place[-1]] = {"a": [1]}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError, match="is missing|must be|must lie"):
        Exported.read(file)


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        (("rows",), [], "rows: must be a mapping"),
        (("rows", "clean"), None, "rows: clean: must be a mapping"),
        (("rows", "clean", "hits"), "many", "hits must be a whole number"),
        (("rows", "clean", "count"), 0, "count must be at least 1"),
        (("rows", "clean", "hits"), 11, "hits must be at most count"),
        (("masking", "more_steps"), float("nan"), "more_steps must be"),
        (("masking",), None, "masking: must be a mapping"),
        (("epsilon",), float("inf"), "epsilon must lie in (0, 1]"),
        (("data",), ["digits"], "data must be text"),
        (("machine", "threads"), 10**9, "threads must lie in"),
        (("other",), 1, "unknown key 'other'"),
    ],
)
def test_a_damaged_evaluation_is_one_line(file, place, value, expected):
    kept = file.with_suffix(".judgement.yaml")
    assert judgement.read(kept)["rows"]["clean"]["count"] == 10
    assert call("evaluate", file).code == 0
    change(kept, place, value)
    line = call("evaluate", file).one_line
    assert expected in line and str(kept) in line
    assert "--again" in line or "unknown key" in line


@pytest.mark.process(seconds=2)
def test_a_wrong_file_is_refused_before_torch_is_imported(file):
    change(file, ("machine", "threads"), None)
    text = (
        "import sys; from pipeline import evaluate\n"
        "try: evaluate.main([sys.argv[1]])\n"
        "except ValueError: sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", text, file], cwd=ROOT, check=False).returncode == 0


def test_an_evaluation_of_other_weights_is_not_shown_as_this_file_s(file):
    """As where a search went on, and another trial is exported under the same name."""
    trained(file, data="digits", train_images=200, eval_epsilon=0.25, seed=1)
    kept, own = file.with_suffix(".judgement.yaml"), yaml.safe_load(file.read_text())
    assert judgement.read(kept)["weights"] != own["weights"]["sha256"]
    result = call("evaluate", file, "--images", "10")
    assert result.code == 0 and "is of other weights and is replaced" in result.out
    assert judgement.read(kept)["weights"] == own["weights"]["sha256"]
    assert "evaluated before, see" in call("evaluate", file).out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "evaluated before, see"),
        (("--images", "10"), "evaluated before, see"),
        (("--images", "20"), "before, but on 10 images instead of 20, see"),
        (("--autoattack",), "before, but without AutoAttack, see"),
        (("--autoattack", "--images", "9"), "instead of 9 and without AutoAttack, see"),
    ],
)
def test_an_evaluation_that_is_not_what_was_asked_for_says_so(file, words, expected):
    assert expected in call("evaluate", file, *words).out


def test_a_seed_that_is_given_twice_is_no_second_result(file):
    line = call("train", file, "--seeds", 1, 2, 1).one_line
    assert "--seeds names 1 twice" in line
    assert not list(file.parent.glob("*seed*"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"true_class_mass": 0.05}, "config: true_class_mass must be above 1/10"),
        ({"model": "resnet18", "width": 2, "batch_size": 1}, "can't be trained with images of"),
        ({"train_images": 3}, "each of the 10 classes must have an image"),
    ],
)
def test_a_file_whose_configuration_was_edited_to_what_can_t_be_is_one_line(
    file, changes, expected
):
    for name, value in changes.items():
        change(file, ("config", name), value)
    assert expected in call("train", file).one_line
    assert not list(file.parent.glob("*seed*"))


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_network_beyond_memory_is_one_line(file, command):
    change(file, ("config", "width"), 10**9)
    words = ("--again",) if command == "evaluate" else ()
    result = call(command, file, *words)
    assert result.code == 1 and result.err.startswith(f"{command}: out of memory: ")
    assert len(result.err.strip().splitlines()) == 1


def test_no_default_stands_in_for_a_value_that_is_lost(file):
    content = yaml.safe_load(file.read_text())
    for name in content["config"]:
        config = {key: value for key, value in content["config"].items() if key != name}
        file.write_text(yaml.safe_dump({**content, "config": config}))
        with pytest.raises(InputError, match=rf"config: {name} is missing"):
            Exported.read(file)
