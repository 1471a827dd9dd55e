"""From a finished search to files that train again to the same numbers, and their judgement."""

import re
import shutil

import pytest
import yaml

from regmix.evaluation.results import Masking
from tests.support.processes import call, run
from tests.support.shared import once
from tests.support.studies import measured, states


@pytest.fixture(scope="module")
def _exported(finished, tmp_path_factory):
    def export(out):
        typed = ("--study", "wamr-digits", "--runs", finished[0], "--out", out, "--top", 2)
        result = run("export", *typed)
        assert result.code == 0, result.err

    return once(tmp_path_factory, "exported", export)


@pytest.fixture
def exported(_exported, tmp_path):
    """A folder with the files of the best two, for commands that write beside them."""
    return shutil.copytree(_exported, tmp_path / "exported")


def read(path):
    return yaml.safe_load(path.read_text())


def table_rows(text):
    """Return name -> images that are right, from the table that evaluate.py prints."""
    found = re.findall(r"^ *(\S.*?) +[01]\.\d{4} .* (\d+) of \d+ *$", text, re.MULTILINE)
    return {name: int(hits) for name, hits in found}


def test_export_writes_the_best_with_everything_that_a_run_needs(finished, exported):
    complete = [t for t in states(finished[0]).values() if t.state == "COMPLETE"]
    best = max(complete, key=lambda trial: trial.final_robust)
    content = read(exported / "wamr-digits-1.yaml")
    assert content["origin"] == {"study": "wamr-digits", "trial": best.number, "rank": 1}
    assert content["config"] == best.config
    assert content["metrics"] == measured(best, 4)
    judged = content["metrics"]["final"]
    assert judged["hits"] / judged["count"] == best.final_robust
    assert content["machine"] == {"device": "cpu", "threads": 1}
    assert {"torch", "numpy", "python", "regmix-search"} <= content["versions"].keys()
    files = {file.name for file in exported.glob("*")}
    assert {f"wamr-digits-{n}.{kind}" for n in (1, 2) for kind in ("yaml", "safetensors")} <= files


def test_trained_again_it_gives_bitwise_the_same(exported):
    result = run("train", exported / "wamr-digits-1.yaml")
    assert result.code == 0, result.err
    assert "every metric of the last epoch is exactly the recorded one" in result.out
    assert result.out.startswith(
        "read 1,397 training images, 10 classes, 8x8 grey; 400 test images stay unread"
    )
    once, again = read(exported / "wamr-digits-1.yaml"), read(exported / "wamr-digits-1-seed0.yaml")
    for metrics in (once["metrics"], again["metrics"]):
        del metrics["seconds"]
    assert once["metrics"] == again["metrics"]
    assert once["weights"]["sha256"] == again["weights"]["sha256"]


def test_other_seeds_give_other_numbers_and_their_spread(exported, tmp_path):
    result = call("train", exported / "wamr-digits-2.yaml", "--seeds", 1, 2, "--out", tmp_path)
    assert result.code == 0, result.err
    assert "final_robust over 2 seeds: mean" in result.out
    first, second = (read(tmp_path / f"wamr-digits-2-seed{seed}.yaml") for seed in (1, 2))
    assert first["config"]["seed"] == 1
    assert first["metrics"]["train_loss"] != second["metrics"]["train_loss"]


def test_numbers_that_should_be_the_same_and_are_not_are_told(exported, tmp_path):
    text = (exported / "wamr-digits-1.yaml").read_text()
    value = read(exported / "wamr-digits-1.yaml")["metrics"]["train_loss"]
    changed = tmp_path / "wamr-digits-1.yaml"
    changed.write_text(text.replace(f"train_loss: {value}", "train_loss: 0.5"))
    result = call("train", changed)
    assert result.code == 1
    assert f"train_loss was 0.5 and is {value}" in result.out
    assert "the same machine and versions gave other numbers" in result.err


def test_evaluate_judges_once_on_test_data_with_intervals(exported):
    file = exported / "wamr-digits-1.yaml"
    result = run("evaluate", file, "--images", 200)
    assert result.code == 0, result.err
    judgement = read(exported / "wamr-digits-1.judgement.yaml")
    rows = {name: row["hits"] for name, row in judgement["rows"].items()}
    attacks = ["clean", "FGSM", "PGD-20", "PGD-50", "PGD-20 on the margin", "APGD-20, 3 targets"]
    attacks.append("worst case")
    assert list(rows) == attacks
    assert (
        Masking(**judgement["masking"]).flags(200, 10)
        or "no sign of gradient masking" in result.out
    )
    assert all(row["count"] == 200 for row in judgement["rows"].values())
    assert rows["worst case"] <= min(rows.values())
    assert rows["PGD-50"] <= rows["PGD-20"] <= rows["clean"]
    for name in attacks:
        assert f"{rows[name]} of 200" in result.out
    assert result.out.splitlines()[0] == "read 400 test images, 10 classes, 8x8 grey"
    again = call("evaluate", file)
    assert "evaluated before" in again.out and f"{rows['FGSM']} of 200" in again.out


def test_autoattack_is_at_least_as_strong_as_our_own_attacks(exported):
    file = exported / "wamr-digits-2.yaml"
    result = call("evaluate", file, "--autoattack", "--images", 20)
    assert result.code == 0, result.err
    rows = read(exported / "wamr-digits-2.judgement.yaml")["rows"]
    assert rows["AutoAttack"]["hits"] <= rows["PGD-20"]["hits"]
    assert rows["worst case"]["hits"] <= rows["AutoAttack"]["hits"]


def test_a_finalist_is_judged_on_validation_images_as_often_as_wanted(exported):
    file = exported / "wamr-digits-1.yaml"
    before = set(exported.iterdir())
    first, again = (typed("evaluate", file, "--validation") for typed in (run, call))
    assert (first.code, first.out) == (0, again.out), first.err
    assert set(exported.iterdir()) == before  # test data is judged once, and this is not it
    assert "digits, validation images, by which it was chosen" in first.out
    metrics = read(file)["metrics"]
    hits = table_rows(first.out)
    count = metrics["final"]["count"]
    assert hits["clean"] == round(metrics["valid_clean"] * count)
    assert hits["and margin"] == round(metrics["valid_robust"] * count)
    (finalist,) = (value for name, value in hits.items() if name.startswith("and APGD-100"))
    assert finalist <= metrics["final"]["hits"]


def test_the_best_epoch_is_judged_where_it_is_not_the_last(exported):
    """Both answers are possible for a file, so each is held against what the file says."""
    for file in exported.glob("wamr-digits-[12].yaml"):
        content = read(file)
        result = call("evaluate", file, "--best", "--validation")
        if content["metrics"]["best_epoch"] == content["config"]["epochs"]:
            assert "best_weights" not in content
            assert (result.code, result.out) == (2, "")
            assert f"--best: the last epoch of {file.name} is its best" in result.err
        else:
            robust = round(content["metrics"]["best_robust"] * content["config"]["valid_images"])
            assert table_rows(result.out)["and margin"] == robust


def test_test_images_that_were_trained_on_are_counted(monkeypatch, capsys):
    from pipeline.driver import evaluation
    from pipeline.problem.problem import SearchProblem
    from regmix.data import digits

    config, real = SearchProblem.load("wamr", "digits", {}).config({}), digits.digits
    monkeypatch.setattr(digits, "digits", lambda part: real("train").first(9))
    evaluation._warn_of_shared(config, real("train").first(12))
    assert capsys.readouterr().out.startswith("warning: 9 of 12 test images are also training")
    evaluation._warn_of_shared(config, real("test"))
    assert capsys.readouterr().out == ""


def test_the_search_never_reads_the_test_part(monkeypatch):
    from pipeline.driver import study
    from pipeline.problem.problem import SearchProblem
    from regmix.data import digits

    parts, real = [], digits.digits

    def counted(part):
        parts.append(part)
        return real(part)

    monkeypatch.setattr(digits, "digits", counted)
    study._load_images(SearchProblem.load("wamr", "digits", {}))
    assert parts == ["train"]
