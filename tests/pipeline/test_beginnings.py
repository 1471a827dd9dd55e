"""A study is made when its input is proved: whatever is refused leaves nothing behind."""

import pytest
from filelock import FileLock

from pipeline.base import paths
from pipeline.problem.problem import SearchProblem
from pipeline.study.storage import exclusive
from regmix.errors import InputError
from tests.support.processes import call, run
from tests.support.studies import SMALL, search_arguments


def everything(folder):
    """All that lies below a folder, and what files hold."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


NAMES = (
    "lr weight_decay momentum epsilon_ratio true_class_mass momentum_decay averaging_decay alpha"
)
MANY = "".join(f"  {name}: {{float: [0.5, 0.9]}}\n" for name in [*NAMES.split(), "beta", "gamma"])
REFUSED = [
    ["--sampler", "grid", "--space", "{folder}/many.yaml"],
    ["--set", "valid_images=1397"],
    ["--set", "valid_images=1300", "train_images=500"],
    ["--set", "epochs=0"],
    ["--enqueue", "missing.yaml"],
    ["--enqueue", "{folder}"],
    ["--enqueue", "{folder}/letter"],
    ["--space", "wmar"],
    ["--sampler", "tpa"],
    ["--pruner", "halfing"],
    ["--objective", "robust,clean", "--sampler", "cmaes"],
    ["--deterministic", "--budget", "9m"],
    ["--plugins", "{folder}/none"],
    ["--data-dir", "{folder}"],
    ["--study", "../x"],
    ["--study", "\udcff"],
    ["--storage", "sqlite:////nowhere/at/all.db"],
    ["--storage", "nosuch://x:secret@y/z"],
    ["--storage", "/nowhere/journal.log"],
    ["--tracking-uri", "mlruns"],
    ["--tracking-uri", "http://127.0.0.1:9"],
    ["--address", "127.0.0.1:9"],
    ["--checkpoints", "s4://bucket"],
]


@pytest.mark.parametrize("more", REFUSED, ids=" ".join)
@pytest.mark.parametrize("known", [False, True], ids=["new", "folder is there"])
def test_a_command_that_is_refused_leaves_all_as_it_was(tmp_path, more, known):
    (tmp_path / "letter").write_text("Dear reader")
    (tmp_path / "many.yaml").write_text(f"loss: regmix\nsearch:\n{MANY}")
    if known:
        (tmp_path / "runs" / "studies").mkdir(parents=True)
    before = everything(tmp_path)
    typed = [word.replace("{folder}", str(tmp_path)) for word in more]
    given = ["--recipe", "digits", "--runs", tmp_path / "runs", *typed]
    assert call("search", *given).one_line
    assert everything(tmp_path) == before


@pytest.mark.parametrize("script", ["search", "confirm"])
def test_what_is_refused_leaves_a_study_that_exists_as_it_was(searched, script):
    wrong = ("--address", "127.0.0.1:9")
    typed = search_arguments(searched, trials=8) if script == "search" else ("--runs", searched)
    study = () if script == "search" else ("--study", "wamr-digits", "--out", searched / "out")
    before = everything(searched / "studies")
    assert "no Ray cluster answers" in call(script, *typed[:2], *study, *typed[2:], *wrong).one_line
    changed = everything(searched / "studies")
    assert changed.keys() - before.keys() <= {"wamr-digits/lock"}
    assert all(changed[name] == content for name, content in before.items() if "lock" not in name)
    assert not (searched / "out").exists()


def test_an_interrupt_before_the_study_is_there_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.driver.study.load_part", interrupted)
    result = call("search", *search_arguments(tmp_path / "runs"))
    assert (result.code, result.err) == (130, "search: interrupted\n")
    assert not (tmp_path / "runs").exists()


def test_who_waits_for_a_name_gets_it_when_its_holder_is_refused(tmp_path):
    """In a database drivers wait for each other: the folder goes, and the next one makes it."""
    place, url = tmp_path / "studies" / "s", f"sqlite:///{tmp_path / 'x.db'}"
    with pytest.raises(InputError), exclusive(place, url):
        assert (place / "lock").exists()
        raise InputError("--set: no")
    assert not place.exists()
    with exclusive(place, url) as claim:
        claim.made = True
    assert place.is_dir()


def test_a_folder_that_goes_while_its_lock_is_awaited_is_made_again(tmp_path, monkeypatch):
    place, gone = tmp_path / "s", []

    def raced(path, timeout):
        if not gone:
            gone.append(place.rmdir())
            raise FileNotFoundError(path)
        return FileLock(path, timeout=timeout)

    monkeypatch.setattr("pipeline.study.storage.FileLock", raced)
    with exclusive(place, "sqlite:///x.db"):
        assert gone and (place / "lock").exists()


def test_folders_that_were_made_go_only_where_they_are_empty(tmp_path):
    (tmp_path / "known").mkdir()
    paths.writable_folder(tmp_path / "known", "--runs")
    paths.writable_folder(tmp_path / "known" / "new" / "deep", "--runs")
    paths.writable_folder(tmp_path / "full", "--out").joinpath("file").touch()
    paths.remove_empty_folders()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "known"]
    assert not list((tmp_path / "known").iterdir())


def test_what_a_study_is_built_of_is_rehearsed_each_once(tmp_path):
    space = tmp_path / "mine.yaml"
    space.write_text(
        "loss: plain\nsearch:\n  model: {choice: [small_cnn, resnet18]}\n"
        "  attack: {choice: [fgsm, pgd]}\n  batch_size: {int: [16, 64]}\n"
        "  lr: {float: [0.01, 0.1]}\n  normalization: {choice: [none, data]}\n"
    )
    built = SearchProblem.load(str(space), "digits", {}).builds()
    pairs = {(config.model.name, config.attack.name) for config in built}
    assert len(pairs) == 4
    assert {config.batch_size for config in built} >= {16, 64}
    assert {config.normalization for config in built} == {"none", "data"}
    assert len(built) == 4 + 2 + 2


FAILING = {
    "samplers": [
        ("return context.seeds", "mine.py:5: sampler mine can't be built (AttributeError"),
        ("return 3", "--sampler mine: must return one of Optuna's samplers, but returns int"),
    ],
    "pruners": [("return epochs / 0", "mine.py:5: pruner mine can't be built (ZeroDivision")],
}


@pytest.mark.process(seconds=4)
def test_a_sampler_or_pruner_that_fails_when_it_is_built_is_one_line_and_no_study(tmp_path):
    runs, mine = tmp_path / "runs", tmp_path / "mine"
    for folder, cases in FAILING.items():
        (mine / folder).mkdir(parents=True)
        given = {"samplers": "context", "pruners": "epochs"}[folder]
        for code, expected in cases:
            file = mine / folder / "mine.py"
            file.write_text(f'"""Fails."""\n\n\ndef mine({given}):\n    {code}\n')
            typed = ["--recipe", "digits", "--runs", runs, "--plugins", mine]
            result = run("search", *typed, f"--{folder[:-1]}", "mine", "--set", *SMALL)
            assert expected in result.one_line
            assert not runs.exists()


@pytest.mark.process(seconds=6)
def test_a_network_that_does_not_fit_is_one_line_and_no_study(tmp_path):
    models = tmp_path / "mine" / "models"
    models.mkdir(parents=True)
    (models / "wrong.py").write_text(
        "from torch import nn\nfrom regmix.ranges import Count\n\n\n"
        "def wrong(channels, classes, *, width: Count = 1):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(3072, classes))\n"
    )
    typed = ["--recipe", "digits", "--runs", tmp_path / "runs", "--plugins", tmp_path / "mine"]
    result = run("search", *typed, "--set", "model=wrong", *SMALL[:2])
    assert "model wrong: can't be trained with images of 1x8x8" in result.one_line
    assert not (tmp_path / "runs").exists()
