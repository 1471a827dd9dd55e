"""Numbers that may differ when a file is trained again, and why; and those that may not."""

from dataclasses import asdict

import pytest
import yaml

from pipeline.driver.evaluation import evaluate_on_validation
from pipeline.driver.replay import replay
from pipeline.problem.exported import load_split
from regmix.exported.file import digest
from tests.support.processes import call
from tests.support.trained import trained


@pytest.fixture(scope="module")
def _file(tmp_path_factory):
    place = tmp_path_factory.mktemp("replay")
    trained(place / "mine.yaml", data="digits", epochs=1, train_images=60, eval_epsilon=0.3)
    return place / "mine.yaml"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"changed_at": [2, 5]}, "machine or versions changed at epoch 2; machine or versions"),
        ({"versions": {"code": "0f"}}, "code was 0f and is"),
        ({"versions": {"torch": "1.0"}}, "torch was 1.0 and is"),
        ({"machine": {"device": "Some Card"}}, "the machine was {'device': 'Some Card'"),
    ],
)
def test_other_numbers_are_explained_by_what_has_changed(_file, tmp_path, changed, said):
    result = again(_file, tmp_path, changed)
    assert (result.code, result.err) == (0, "")
    assert "train_loss was 0.5 and is" in result.out
    assert f"the numbers may differ, since {said}" in " ".join(result.out.split())


@pytest.mark.parametrize("changed", [{}, {"versions": {"mlflow": "1.0"}}])
def test_other_numbers_that_nothing_explains_are_a_failure(_file, tmp_path, changed):
    result = again(_file, tmp_path, changed)
    assert result.code == 1
    assert "the same machine and versions gave other numbers" in result.err


def again(file, tmp_path, changed):
    """Train a file again in which the loss of the last epoch and some facts were changed."""
    content = yaml.safe_load(file.read_text())
    content["metrics"]["train_loss"] = 0.5
    for key, value in changed.items():
        content[key] = {**content[key], **value} if isinstance(value, dict) else value
    (tmp_path / "mine.safetensors").write_bytes(file.with_suffix(".safetensors").read_bytes())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    return call("train", tmp_path / "mine.yaml")


def test_a_file_whose_finalists_have_more_images_trains_again_and_is_judged_by_all(
    tmp_path,
):
    """What a race exports: it says how many images judged it, and gives the same bits again."""
    task = {"data": "digits", "epochs": 1, "train_images": 60, "eval_epsilon": 0.1}
    race = {"finalist_images": 90, "judgement": "finalist", "judged_images": 70}
    one = trained(tmp_path / "mine.yaml", **task, **race)
    assert one.metrics.final.count == 70
    path = tmp_path / "again.yaml"
    again = replay(one, load_split(one, path), path)
    assert asdict(again.metrics) == {**asdict(one.metrics), "seconds": again.metrics.seconds}
    assert digest(again.weights) == digest(one.weights)
    rows = evaluate_on_validation(again, path, again.weights)["rows"]
    assert {row["count"] for row in rows.values()} == {90}
    # the trial's 40 images are among the 90, and judged alike
    assert 0 <= rows["clean"]["hits"] - round(40 * one.metrics.valid_clean) <= 50
    assert 0 <= rows["and margin"]["hits"] - round(40 * one.metrics.valid_robust) <= 50
