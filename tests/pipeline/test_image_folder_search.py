"""The recipe for CIFAR-10 on a folder of images, with a small network."""

import numpy as np
import pytest
from PIL import Image

from tests.support.processes import call, run
from tests.support.studies import states


def striped(root, train, test):
    """Ten classes that differ by where a bright bar stands: easy, and robust to small noise."""
    draw = np.random.default_rng(0)
    for part, per_class in (("train", train), ("test", test)):
        for label in range(10):
            place = root / part / f"bar{label}"
            place.mkdir(parents=True)
            for number in range(per_class):
                pixels = draw.integers(0, 60, (32, 32, 3), dtype=np.uint8)
                pixels[:, 3 * label : 3 * label + 4] += 150
                Image.fromarray(pixels).save(place / f"{number}.png")
    return root


@pytest.mark.process(seconds=22)
def test_cifar10s_recipe_searches_a_folder_of_images(tmp_path, cluster):
    folder = striped(tmp_path / "images", train=40, test=10)
    settings = ["model=small_cnn", "width=8", "epochs=6", "valid_images=100", "batch_size=25"]
    settings += ["finalist_images=100"]
    settings += ["augment=none", "lr=0.05"]
    result = run(
        "search", "--recipe", "cifar10", "--data-dir", folder, "--runs", tmp_path / "runs",
        "--trials", 2, "--no-confirm", "--pruner", "none", *cluster, "--concurrency", 1,
        "--set", *settings,
    )  # fmt: skip
    assert result.code == 0, result.err
    trials = states(tmp_path / "runs", "wamr-cifar10").values()
    assert [trial.state for trial in trials] == ["COMPLETE"] * 2
    assert max(trial.final_robust for trial in trials) > 0.4  # chance is 0.1
    assert {trial.config["eval_epsilon"] for trial in trials} == {8 / 255}

    out = tmp_path / "out"
    known = ("--study", "wamr-cifar10", "--runs", tmp_path / "runs")
    assert call("export", *known, "--out", out).code == 0
    moved = folder.rename(tmp_path / "elsewhere")
    judged = run("evaluate", out / "wamr-cifar10-1.yaml", "--data-dir", moved)
    assert judged.code == 0, judged.err
    assert "of 100" in judged.out
    lost = call("train", out / "wamr-cifar10-1.yaml").one_line
    assert "no such folder" in lost
