"""The page about extending followed to the letter: plug-ins through search, export and replay."""

import pytest

from regmix import yaml_file
from tests.support.pages import write_plugins
from tests.support.processes import run
from tests.support.studies import search_arguments, states


@pytest.mark.process(seconds=15)
def test_a_loss_a_network_data_and_a_pruner_from_a_folder_outside(tmp_path, cluster):
    mine = write_plugins(tmp_path / "my_plugins")
    given = ("--plugins", mine)
    search = (
        *("--space", mine / "focal.yaml", "--recipe", mine / "stripes.yaml", "--study", "mine"),
        *(
            "--runs",
            tmp_path / "runs",
            "--trials",
            6,
            "--no-confirm",
            "--pruner",
            "percentile",
            *given,
        ),
        *(*cluster, "--concurrency", "1"),
        *("--set", "epochs=3", "train_images=200", "valid_images=100"),
    )
    result = run("search", *search, cwd=tmp_path)
    assert result.code == 0, result.out + result.err
    assert f"pipeline/train.py exported/mine-1.yaml --plugins {mine}\n" in result.out
    trials = states(tmp_path / "runs", "mine")
    assert len(trials) == 6 and trials[0].params["focus"] == 1.0
    assert {trial.state for trial in trials.values()} <= {"COMPLETE", "PRUNED"}
    for trial in trials.values():
        pruned = trial.state == "PRUNED"
        assert trial.reason.startswith("percentile stops it at epoch") == pruned

    out = tmp_path / "exported"
    export = ("--study", "mine", "--top", 1, "--runs", tmp_path / "runs", "--out", out)
    without = run("export", *export, cwd=tmp_path)
    assert "--study mine: needs the plug-in" in without.one_line
    assert "give the folder that holds it by --plugins" in without.one_line
    assert run("export", *export, *given, cwd=tmp_path).code == 0
    file = out / "mine-1.yaml"
    content = yaml_file.read(file)
    used = {"losses/focal.py", "models/pooled_linear.py", "data/stripes.py"}
    assert content["plugins"].keys() == used
    assert content["final_robust"] == max(
        trial.final_robust for trial in trials.values() if trial.state == "COMPLETE"
    )

    again = run("train", file, *given, cwd=tmp_path)
    assert again.code == 0, again.err
    assert "every metric of the last epoch is exactly the recorded one" in again.out
    judged = run("evaluate", file, *given, "--images", 100, cwd=tmp_path)
    assert judged.code == 0, judged.err
    assert "of 100" in judged.out

    loss = mine / "losses" / "focal.py"
    loss.write_text(loss.read_text().replace("2017", "2018"))
    for command, words in (("search", search), ("train", (file, *given))):
        changed = run(command, *words, cwd=tmp_path).one_line
        assert "losses/focal.py has changed since (sha256" in changed


@pytest.mark.process
def test_a_plug_in_that_is_wrong_is_told_before_anything_starts(tmp_path):
    (tmp_path / "mine" / "losses").mkdir(parents=True)
    (tmp_path / "mine" / "losses" / "bare.py").write_text(
        "def bare(final, initial):\n    return 0\n"
    )
    space = tmp_path / "bare.yaml"
    space.write_text("loss: bare\nsearch:\n  epsilon_ratio: {float: [0.5, 1.5]}\n")
    runs, given = tmp_path / "runs", ("--space", space, "--plugins", tmp_path / "mine")
    told = run("search", *search_arguments(runs, *given), cwd=tmp_path).one_line
    assert "bare.py" in told and len(told) < 300
    assert not (runs / "studies").exists()
