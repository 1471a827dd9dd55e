"""From a finished search to files that train again to the same numbers, and their judgement."""

import pytest
import yaml

from tests.pipeline.conftest import run, states


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported")
    result = run(
        "export", "--study", "wamr-digits", "--runs", finished[0], "--out", out, "--top", 2
    )
    assert result.code == 0, result.err
    return out


def read(path):
    return yaml.safe_load(path.read_text())


def test_export_writes_the_best_with_everything_that_a_run_needs(finished, exported):
    complete = [t for t in states(finished[0]).values() if t.state.name == "COMPLETE"]
    best = max(complete, key=lambda trial: trial.value)
    content = read(exported / "wamr-digits-1.yaml")
    assert content["origin"] == {"study": "wamr-digits", "trial": best.number, "rank": 1}
    assert content["config"] == best.user_attrs["config"]
    assert content["metrics"] == best.user_attrs["epoch_4"]
    assert content["metrics"]["valid_robust"] == best.value
    assert content["machine"] == {"device": "cpu", "threads": 1}
    assert {"torch", "numpy", "python", "regmix-search"} <= content["versions"].keys()
    files = {file.name for file in exported.glob("*")}
    assert {f"wamr-digits-{n}.{kind}" for n in (1, 2) for kind in ("yaml", "safetensors")} <= files


def test_trained_again_it_gives_bitwise_the_same(exported):
    result = run("train", exported / "wamr-digits-1.yaml")
    assert result.code == 0, result.err
    assert "every metric of the last epoch is exactly the recorded one" in result.out
    once, again = read(exported / "wamr-digits-1.yaml"), read(exported / "wamr-digits-1-seed0.yaml")
    for metrics in (once["metrics"], again["metrics"]):
        del metrics["seconds"]
    assert once["metrics"] == again["metrics"]
    assert once["weights"]["sha256"] == again["weights"]["sha256"]


def test_other_seeds_give_other_numbers_and_their_spread(exported, tmp_path):
    result = run("train", exported / "wamr-digits-2.yaml", "--seeds", 1, 2, "--out", tmp_path)
    assert result.code == 0, result.err
    assert "validation robust accuracy over 2 seeds: mean" in result.out
    first, second = (read(tmp_path / f"wamr-digits-2-seed{seed}.yaml") for seed in (1, 2))
    assert first["config"]["seed"] == 1
    assert first["metrics"]["train_loss"] != second["metrics"]["train_loss"]


def test_numbers_that_should_be_the_same_and_are_not_are_told(exported, tmp_path):
    text = (exported / "wamr-digits-1.yaml").read_text()
    value = read(exported / "wamr-digits-1.yaml")["metrics"]["train_loss"]
    changed = tmp_path / "wamr-digits-1.yaml"
    changed.write_text(text.replace(f"train_loss: {value}", "train_loss: 0.5"))
    result = run("train", changed)
    assert result.code == 1
    assert f"train_loss was 0.5 and is {value}" in result.out
    assert "the same machine and versions gave other numbers" in result.err


def test_evaluate_judges_once_on_test_data_with_intervals(exported):
    file = exported / "wamr-digits-1.yaml"
    result = run("evaluate", file, "--images", 200)
    assert result.code == 0, result.err
    judgement = read(exported / "wamr-digits-1.judgement.yaml")
    rows = {name: row["hits"] for name, row in judgement["rows"].items()}
    attacks = ["clean", "FGSM", "PGD-20", "PGD-50", "PGD-20 on the margin", "worst case"]
    assert list(rows) == attacks
    assert all(row["count"] == 200 for row in judgement["rows"].values())
    assert rows["worst case"] <= min(rows.values())
    assert rows["PGD-50"] <= rows["PGD-20"] <= rows["clean"]
    for name in attacks:
        assert f"{rows[name]} of 200" in result.out
    again = run("evaluate", file)
    assert "judged before" in again.out and f"{rows['FGSM']} of 200" in again.out


def test_autoattack_is_at_least_as_strong_as_our_own_attacks(exported):
    pytest.importorskip("pyautoattack")
    file = exported / "wamr-digits-2.yaml"
    result = run("evaluate", file, "--autoattack", "--images", 20)
    assert result.code == 0, result.err
    rows = read(exported / "wamr-digits-2.judgement.yaml")["rows"]
    assert rows["AutoAttack"]["hits"] <= rows["PGD-20"]["hits"]
    assert rows["worst case"]["hits"] <= rows["AutoAttack"]["hits"]


def test_the_search_never_reads_the_test_part(monkeypatch):
    from pipeline import study
    from pipeline.question import Question
    from regmix.data import digits

    parts, real = [], digits.digits
    monkeypatch.setattr(digits, "digits", lambda part: parts.append(part) or real(part))
    study._load_images(Question.load("wamr", "digits", {}))
    assert parts == ["train"]
