"""Methods compared as a user types it: what is refused, and a comparison after a kill."""

import signal

import pytest

from pipeline.problem.problem import SearchProblem
from pipeline.race.comparable import prove_alike, prove_judged_alike, searched_by_some
from regmix.config import own_options
from regmix.errors import InputError
from tests.support.cluster import TOKEN
from tests.support.controllers import study_at
from tests.support.processes import call, interrupt_after, run, start
from tests.support.studies import SMALL, states

DATA = {"fingerprint": "0a"}
METHOD = {"sampler": "bohb", "pruner": "none", "seed": 0}


def searched(place, space="mse", overrides=None, data=DATA, method=METHOD, extent=(4, 60.0)):
    """A real study of nothing but what a search stores as it begins."""
    place.mkdir()
    study = study_at(place, SearchProblem.load(space, "digits", overrides or {}))
    study.hold("data", data)
    study.hold("rules", {"objective": "robust", "min_clean": None})
    study.use(method)
    study.study.set_user_attr(
        "extent", dict(zip(("trainings", "budget", "race"), extent, strict=False))
    )
    return study


def test_methods_may_differ_in_what_they_are(tmp_path):
    whole = {name: searched(tmp_path / name, name) for name in ("mse", "plain", "trades", "dkl")}
    prove_alike(whole)
    other = {"momentum_decay": "0.5", "averaging_rule": "constant", "initialization": "random"}
    prove_alike({**whole, "other": searched(tmp_path / "other", "agr", other)})
    assert searched_by_some(whole) == {"true_class_mass": ["plain"]}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"overrides": {"eval_epsilon": "0.1"}}, "eval_epsilon is 0.25 in a, but 0.1 in b"),
        ({"overrides": {"valid_images": "300"}}, "valid_images is 400 in a, but 300 in b"),
        ({"overrides": {"split_seed": "3"}}, "split_seed is 0 in a, but 3 in b"),
        ({"overrides": {"eval_steps": "20"}}, "eval_steps is 10 in a, but 20 in b"),
        ({"overrides": {"width": "8"}}, "width is 16 in a, but 8 in b"),
        ({"overrides": {"epochs": "9"}}, "epochs is 12 in a, but 9 in b"),
        ({"overrides": {"lr": "0.1"}}, "lr is 0.2 in a, but 0.1 in b"),
        ({"overrides": {"attack": "pgd"}}, "attack is 'fgsm' in a, but 'pgd' in b"),
        ({"data": {"fingerprint": "0b"}}, "fingerprint of the images is '0a' in a, but '0b' in b"),
        ({"method": {**METHOD, "sampler": "tpe"}}, "--sampler is 'bohb' in a, but 'tpe' in b"),
        ({"extent": (5, 60.0)}, "effort in trainings is 4 in a, but 5 in b"),
        ({"extent": (4, 90.0)}, "effort in budget is 60s in a, but 90s in b"),
        ({"extent": (4,)}, "effort in budget is 60s in a, but no limit in b"),
        ({"extent": (4, 60.0, 8)}, "effort in race is none in a, but 8 in b"),
    ],
)
def test_what_was_measured_otherwise_is_refused_with_both_values(tmp_path, change, expected):
    pair = {"a": searched(tmp_path / "a"), "b": searched(tmp_path / "b", "trades", **change)}
    with pytest.raises(InputError) as caught:
        prove_alike(pair)
    assert expected in str(caught.value) and len(str(caught.value)) < 300


def test_a_range_that_another_search_had_wider_is_refused(tmp_path):
    spaces = {"a": "[0.5, 1.5]", "b": "[0.5, 2]"}
    for name, bounds in spaces.items():
        text = f"loss: mse\nsearch: {{epsilon_ratio: {{float: {bounds}}}}}"
        (tmp_path / f"{name}.yaml").write_text(text)
    pair = {n: searched(tmp_path / n, str(tmp_path / f"{n}.yaml")) for n in spaces}
    with pytest.raises(InputError, match="range of epsilon_ratio is .*1.5.* in a, but .*2.0"):
        prove_alike(pair)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"fingerprint": "0c"}, "fingerprint of the test images is '0b' in a, but '0c' in b"),
        ({"epsilon": 0.1}, "epsilon on test images is 0.25 in a, but 0.1 in b"),
        ({"rows": {"clean": {"hits": 9, "count": 9}}}, "number of test images is 400 in a, but 9"),
        ({"rows": {"AA": {"hits": 9, "count": 400}}}, "images is 'clean' in a, but 'AA' in b"),
    ],
)
def test_winners_that_were_judged_otherwise_are_refused(change, expected):
    rows = {"clean": {"hits": 300, "count": 400}}
    kept = {"fingerprint": "0b", "epsilon": 0.25, "rows": rows}
    prove_judged_alike({"a": kept, "b": dict(kept)})
    with pytest.raises(InputError) as caught:
        prove_judged_alike({"a": kept, "b": {**kept, **change}})
    assert expected in str(caught.value)


def test_every_setting_of_the_trainer_is_of_the_task_the_method_or_compared(tmp_path):
    """A new one is compared until somebody says that it is the method's own."""
    from pipeline.race.comparable import of_the_method

    known = searched(tmp_path / "a").problem
    assert own_options().keys() - known.keys() <= {"epsilon_ratio"}  # which the space searches
    assert of_the_method() & own_options().keys() == {
        "epsilon_ratio", "true_class_mass", "initialization", "start_box", "momentum_decay",
        "momentum_rule", "reset_interval", "align_history", "attack_mode", "averaging_decay",
        "averaging_rule", "averaging_threshold",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], "name two or more different --spaces, which are searched, or --studies"),
        (["--spaces", "mse"], "name two or more different --spaces"),
        (["--spaces", "mse", "mse"], "name two or more different --spaces"),
        (["--spaces", "mse", "agr", "--studies", "a", "b"], "name two or more different"),
        (["--spaces", "mse", "arg"], "unknown space 'arg'; did you mean 'agr'?"),
        (["--studies", "a", "b", "--trainings", 3], "--trainings is for searches, but --studies"),
        (["--studies", "a", "b"], "--studies: unknown study 'a'"),
        (["--spaces", "mse", "agr", "--seeds", 0], "--seeds must be at least 1"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, typed, expected):
    given = [*typed, "--runs", tmp_path / "runs", "--out", tmp_path / "out"]
    assert expected in call("compare", *given).one_line


@pytest.mark.process(seconds=80)
def test_methods_are_searched_raced_judged_once_and_compared_also_after_a_kill(tmp_path, cluster):
    runs, out = tmp_path / "runs", tmp_path / "out"
    shared = ("--runs", runs, "--out", out, "--top", 1, "--seeds", 2, *cluster)
    task = ("--recipe", "digits", "--trainings", 2, "--set", "epochs=2", "eval_every=1", *SMALL)
    typed = ("--spaces", "plain", "mse", *task, *shared)
    killed = interrupt_after(
        start("compare", *typed, environment=TOKEN), "trial   ", signal.SIGKILL
    )
    assert killed.code == -signal.SIGKILL
    result = run("compare", *typed, environment=TOKEN)
    assert result.code == 0, result.out + result.err
    names = [f"compare-digits-{space}" for space in ("plain", "mse")]
    for name in names:
        trials, race = states(runs, name), states(runs, f"{name}-confirm")
        assert trials[0].is_default and "lr" not in trials[0].params
        assert {"epsilon_ratio", "true_class_mass"} <= trials[0].params.keys()
        assert {t.params["seed"] for t in race.values()} == {1, 2}
    rows = [line for line in result.out.splitlines() if line.startswith(("plain  ", "mse  "))]
    assert len(rows) == 6 and "\nBest of 2 methods: " in result.out
    assert "Winners are the best of their races" in " ".join(result.out.split())
    kept = [out / f"{name}-confirmed.judgement.yaml" for name in names]
    before = [path.stat().st_mtime_ns for path in kept]
    studies = run("compare", "--studies", *names, *shared, environment=TOKEN)
    assert studies.code == 0, studies.err
    assert studies.out.count("evaluated before") == 2
    assert [path.stat().st_mtime_ns for path in kept] == before
    assert "p holds for all pairs together" in " ".join(studies.out.split())
