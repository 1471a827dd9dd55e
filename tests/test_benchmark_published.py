"""The comparison with published figures, run small as a user runs it."""

import json
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("model=small_cnn", "width=2", "epochs=2", "train_images=60", "valid_images=20")
SMALL += ("data=digits", "batch_size=20", "augment=none")


def run(out, *more):
    script = ROOT / "benchmarks" / "published.py"
    command = [sys.executable, script, "--out", out, "--images", 6, *more, "--set", *SMALL]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


def test_it_says_what_was_reached_beside_what_is_published(tmp_path):
    result = run(tmp_path, "--methods", "FGSM-PGK")
    assert result.returncode == 0, result.stderr
    lines = [line for line in result.stdout.splitlines() if "n = 6" in line]
    assert len(lines) == 2 * 3  # last and best epoch, figures
    assert "published 55.17" in result.stdout
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    again = run(tmp_path, "--methods", "FGSM-PGK")
    assert [line for line in again.stdout.splitlines() if "n = 6" in line] == lines
    kept = [file for file in before if file.suffix == ".json"]  # test data judges once
    assert kept and all(file.stat().st_mtime_ns == before[file] for file in kept)


def test_out_of_time_it_goes_on_from_its_checkpoint(tmp_path):
    first = run(tmp_path, "--methods", "RegMix", "--minutes", "0.00001")
    assert first.returncode == 1
    assert "RegMix: the time is over; the same command goes on" in first.stdout
    second = run(tmp_path, "--methods", "RegMix")
    assert second.returncode == 0, second.stderr
    assert "nothing published" in second.stdout
    done = [json.loads(line.partition(" ")[2])["epoch"] for line in epochs(first, second)]
    assert done == [1, 2]


def epochs(*results):
    return [x for one in results for x in one.stdout.splitlines() if x.startswith('RegMix {"')]


def test_its_settings_are_those_of_the_recipe():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    from published import METHODS, PAPER

    recipe = yaml.safe_load((ROOT / "search_spaces/recipes/cifar10-paper.yaml").read_text())
    same = {**PAPER, "data": recipe["data"], "eval_epsilon": recipe["eval_epsilon"]}
    assert same == {key: recipe[key] for key in PAPER}
    assert METHODS["FGSM-PGI"]["true_class_mass"] == recipe["true_class_mass"]
    assert METHODS["FGSM-PGI"]["reset_interval"] == recipe["reset_interval"]
    for method in ("FGSM-PGI", "RegMix"):
        own = recipe["losses"][METHODS[method]["loss"]]
        assert own == {key: METHODS[method][key] for key in own}
