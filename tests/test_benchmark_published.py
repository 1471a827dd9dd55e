"""The comparison with published figures, run small as a user runs it."""

import json

import pytest
import yaml

from tests.support.processes import ROOT, call, run

SMALL = ["model=small_cnn", "width=2", "epochs=2", "train_images=60", "valid_images=20"]
SMALL += ["data=digits", "batch_size=20", "augment=none"]


def typed(out, *more):
    return ("published", "--out", out, "--images", 6, *more, "--set", *SMALL)


@pytest.mark.process(seconds=5)
def test_it_says_what_was_reached_beside_what_is_published(tmp_path):
    words = typed(tmp_path, "--methods", "FGSM-PGK")
    result = run(*words, room="benchmarks")
    assert result.code == 0, result.err
    lines = [line for line in result.out.splitlines() if "n = 6" in line]
    assert len(lines) == 2 * 3  # last and best epoch, figures
    assert "published 55.17" in result.out
    before = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    again = call(*words, room="benchmarks")
    assert [line for line in again.out.splitlines() if "n = 6" in line] == lines
    kept = [file for file in before if file.suffix == ".json"]  # test data is used once
    assert kept and all(file.stat().st_mtime_ns == before[file] for file in kept)


@pytest.mark.process(seconds=5)
def test_out_of_time_it_goes_on_from_its_checkpoint(tmp_path):
    short = typed(tmp_path, "--methods", "RegMix", "--minutes", "0.00001")
    first = run(*short, room="benchmarks")
    assert first.code == 1
    assert "RegMix: the time is over; the same command goes on" in first.out
    second = call(*typed(tmp_path, "--methods", "RegMix"), room="benchmarks")
    assert second.code == 0, second.err
    assert "nothing published" in second.out
    done = [json.loads(line.partition(" ")[2])["epoch"] for line in epochs(first, second)]
    assert done == [1, 2]


def epochs(*results):
    return [x for one in results for x in one.out.splitlines() if x.startswith('RegMix {"')]


def test_its_settings_are_those_of_the_recipe():
    from benchmarks.published import METHODS, PAPER

    recipe = yaml.safe_load((ROOT / "search_spaces/recipes/cifar10-paper.yaml").read_text())
    same = {**PAPER, "data": recipe["data"], "eval_epsilon": recipe["eval_epsilon"]}
    assert same == {key: recipe[key] for key in PAPER}
    assert METHODS["FGSM-PGI"]["true_class_mass"] == recipe["true_class_mass"]
    assert METHODS["FGSM-PGI"]["reset_interval"] == recipe["reset_interval"]
    for method in ("FGSM-PGI", "RegMix"):
        own = recipe["losses"][METHODS[method]["loss"]]
        assert own == {key: METHODS[method][key] for key in own}
