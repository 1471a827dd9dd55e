"""What a study stores: every attribute comes back, for another process too."""

import optuna
import pytest

from pipeline.study.events import TrialOutcome
from pipeline.study.records import (
    DEFAULT,
    FORMAT,
    ComputedOn,
    StudyRecord,
    TrialRecord,
    TrialWriter,
)
from pipeline.study.storage import open_storage
from regmix.errors import InputError
from tests.support.controllers import MACHINE, VERSIONS, metrics


def begin(place):
    """Return a study as whoever opens it for the first time has it."""
    storage = open_storage(None, place)
    found = optuna.create_study(
        study_name="s", storage=storage, direction="maximize", load_if_exists=True
    )
    return StudyRecord(found)


def again(place):
    """Return the same study as another process reads it from the file."""
    return StudyRecord(optuna.load_study(study_name="s", storage=open_storage(None, place)))


def test_every_attribute_of_a_trial_comes_back(tmp_path):
    study = begin(tmp_path)
    study.enqueue({"alpha": 0.5}, DEFAULT)
    live = study.study.ask()
    live.suggest_float("alpha", 0, 1)
    write = TrialWriter(live)
    config = {"epochs": 2, "loss": "regmix", "alpha": 0.5, "averaging": True, "data_dir": None}
    write.config(config)
    epochs = {1: metrics(1, 0.25, last=2), 2: metrics(2, 0.5, last=2, final_robust=0.375)}
    for epoch, found in epochs.items():
        write.epoch(found)
        live.report(found.valid_robust, epoch)
    places = (ComputedOn(1, MACHINE, VERSIONS), ComputedOn(2, {"device": "gpu"}, VERSIONS))
    write.computed_on(places)
    write.would_prune("rank 3 of 3")
    write.retries(["out of memory", "its worker process died"])
    write.outcome(2, TrialOutcome("FAIL", "diverged"))
    live.set_constraint("clean", 0.125)
    trial = again(tmp_path).trial(0)
    assert (trial.number, trial.state, trial.ended, trial.begun) == (0, "RUNNING", False, True)
    assert trial.params == {"alpha": 0.5}
    assert trial.config == config and trial.total_epochs == 2
    assert (trial.last_epoch, trial.values) == (2, {1: 0.25, 2: 0.5})
    assert trial.epochs == epochs
    assert trial.latest == epochs[2] and trial.metrics(1) == epochs[1]
    assert trial.final == epochs[2].final and trial.final.robust == 0.375
    assert trial.computed_on == places
    assert trial.would_prune == "rank 3 of 3"
    assert trial.retries == ["out of memory", "its worker process died"]
    assert (trial.outcome, trial.reason) == (TrialOutcome("FAIL", "diverged"), "diverged")
    assert (trial.origin, trial.is_default) == ("default", True)
    assert trial.constraints == {"clean": 0.125}
    assert trial.final_robust is None  # not COMPLETE
    study.study.tell(live, 0.375)
    assert again(tmp_path).trial(0).final_robust == 0.375


def test_a_trial_without_any_attribute_says_so(tmp_path):
    begin(tmp_path).study.ask()
    trial = again(tmp_path).trial(0)
    assert (trial.begun, trial.last_epoch, trial.values, trial.epochs) == (False, 0, {}, {})
    assert (trial.outcome, trial.reason, trial.computed_on) == (None, "", ())
    assert (trial.origin, trial.is_default) == ("sampled", False)
    assert (trial.would_prune, trial.retries, trial.constraints) == ("", [], {})


def test_every_attribute_of_a_study_comes_back(tmp_path):
    study = begin(tmp_path)
    study.begin_study(VERSIONS)
    problem = {"space": "wamr", "search.alpha": "Float(0, 1)", "search.beta": "Int(1, 9)"}
    study.hold("problem", problem)
    study.hold("rules", {"objective": "robust,clean", "min_clean": 0.8, "deterministic": None})
    study.hold("data", {"fingerprint": "abc", "classes": ["0", "1"]})
    study.hold("checkpoints", {"url": "s3://bucket/folder"})
    study.hold("plugins", {"losses/mine.py": "0f"})
    study.set_extent({"trials": 8, "budget": 90.0})
    study.set_seconds(12.5)
    study.end_round(1, {3: "failed: diverged"})
    study.end_round(2, {})
    found = again(tmp_path)
    found.check_format()
    assert (found.name, found.versions, found.problem) == ("s", VERSIONS, problem)
    assert found.searched == ("alpha", "beta")
    assert (found.objective, found.data["fingerprint"]) == ("robust,clean", "abc")
    assert (found.checkpoints, found.plugins) == ("s3://bucket/folder", {"losses/mine.py": "0f"})
    assert (found.extent, found.seconds) == ({"trials": 8, "budget": 90.0}, 12.5)
    assert found.eliminated == {3: "failed: diverged"}
    assert [found.round_is_over(seed) for seed in (1, 2, 3)] == [True, True, False]


def test_the_format_is_what_is_documented(tmp_path):
    """The one place that reads attributes as they lie in the storage: other programs may, too."""
    study = begin(tmp_path)
    study.begin_study(VERSIONS)
    study.enqueue({"alpha": 0.5}, "from best.yaml")
    live = study.study.ask()
    TrialWriter(live).config({"epochs": 1})
    TrialWriter(live).epoch(metrics(1, 0.25))
    TrialWriter(live).outcome(1, TrialOutcome("PRUNED", "rank 2 of 2"))
    stored = again(tmp_path).study
    birth = stored.user_attrs["birth"]
    assert stored.user_attrs == {"format": 5, "birth": birth, "versions": VERSIONS}
    attributes = stored.get_trials()[0].user_attrs
    assert attributes.keys() == {"origin", "config", "epoch_1", "outcome"}
    assert attributes["epoch_1"]["valid_robust"] == 0.25
    assert attributes["outcome"] == {"epoch": 1, "state": "PRUNED", "reason": "rank 2 of 2"}


def test_a_new_study_gets_the_format_and_an_old_one_keeps_its_versions(tmp_path):
    begin(tmp_path).begin_study(VERSIONS)
    later = again(tmp_path)
    later.begin_study({"python": "3.99"})
    assert later.versions == VERSIONS


def test_a_kill_between_format_and_versions_is_made_good(tmp_path):
    begin(tmp_path).study.set_user_attr("format", FORMAT)
    again(tmp_path).begin_study(VERSIONS)
    assert again(tmp_path).versions == VERSIONS


def test_a_study_that_was_only_created_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="is empty: its first search was killed as it began"):
        begin(tmp_path).check_format()


@pytest.mark.parametrize("stored", [None, FORMAT - 1, FORMAT + 1])
def test_a_study_of_another_format_is_not_begun_again(tmp_path, stored):
    study = begin(tmp_path)
    study.study.set_user_attr("problem", {"space": "wamr"})
    if stored is not None:
        study.study.set_user_attr("format", stored)
    before = (tmp_path / "journal.log").read_bytes()
    with pytest.raises(InputError) as refused:
        study.begin_study(VERSIONS)
    message = str(refused.value)
    assert message.startswith(f"--study s: has format {stored or 1}, and this version reads format")
    assert "\n" not in message and len(message) < 300
    assert (tmp_path / "journal.log").read_bytes() == before


@pytest.mark.parametrize(
    ("key", "known", "given", "expected"),
    [
        ("problem", {"width": 8}, {"width": 16}, "another problem (width was 8 and is 16)"),
        (
            "problem",
            {"loss": "regmix", "fixed.gamma": 0},
            {"loss": "mse"},
            "(loss was regmix and is mse; fixed.gamma was 0 and is None)",
        ),
        (
            "rules",
            {"deterministic": None},
            {"deterministic": 3},
            "other rules (deterministic was None and is 3)",
        ),
        (
            "data",
            {"fingerprint": "a"},
            {"fingerprint": "b"},
            "other data (fingerprint was a and is b)",
        ),
        (
            "checkpoints",
            {"url": "s3://a"},
            {"url": None},
            "another place of checkpoints (url was s3://a and is None)",
        ),
        (
            "plugins",
            {},
            {"losses/mine.py": "0f"},
            "other plug-ins (losses/mine.py is new in it)",
        ),
        (
            "plugins",
            {"losses/mine.py": "0f" * 32, "pruners/floor.py": "0a" * 32},
            {"losses/mine.py": "1e" * 32},
            "other plug-ins (losses/mine.py has changed: sha256 1e1e1e1e1e1e, was 0f0f0f0f0f0f; "
            "pruners/floor.py is gone)",
        ),
    ],
)
def test_what_may_not_change_is_held_and_what_differs_is_named(
    tmp_path, key, known, given, expected
):
    begin(tmp_path).hold(key, known)
    again(tmp_path).hold(key, known)  # the same
    with pytest.raises(InputError) as refused:
        again(tmp_path).hold(key, given)
    message = str(refused.value)
    assert message.startswith("--study s: was begun with ") and expected in message
    assert "undo the change, or choose a new name by --study" in message
    again(tmp_path).hold(key, known)  # the refused one was not stored


def test_what_was_asked_for_holds_until_it_is_asked_anew(tmp_path):
    nothing = dict.fromkeys(("trainings", "trials", "budget"))
    study = begin(tmp_path)
    assert study.ask_for(nothing) == {}
    assert study.ask_for({**nothing, "trials": 8}) == {"trials": 8}
    assert again(tmp_path).ask_for({**nothing, "budget": 90.0}) == {"trials": 8, "budget": 90.0}
    assert again(tmp_path).ask_for({**nothing, "trials": 16}) == {"trials": 16, "budget": 90.0}
    assert again(tmp_path).ask_for(nothing) == {"trials": 16, "budget": 90.0}


def test_a_trial_with_an_epoch_more_leaves_the_stored_one_alone(tmp_path):
    study = begin(tmp_path)
    live = study.study.ask()
    first, second = metrics(1, 0.25), metrics(2, 0.5)
    TrialWriter(live).epoch(first)
    live.report(0.25, 1)
    known = study.trial(0)
    more = known.with_epoch(second, 0.4)
    assert (more.last_epoch, more.values, more.latest) == (2, {1: 0.25, 2: 0.4}, second)
    assert more.epochs == {1: first, 2: second}
    assert (known.last_epoch, known.values) == (1, {1: 0.25})
    assert study.trial(0).epochs == {1: first}


def test_an_outcome_counts_only_at_the_epoch_that_it_was_decided_over(tmp_path):
    live = begin(tmp_path).study.ask()
    pruned = TrialOutcome("PRUNED", "rank 2 of 2")
    TrialWriter(live).outcome(2, pruned)
    TrialWriter(live).epoch(metrics(1, 0.5))
    assert again(tmp_path).trial(0).outcome is None
    assert again(tmp_path).trial(0).outcome_of(2) == pruned
    TrialWriter(live).epoch(metrics(2, 0.5))
    assert again(tmp_path).trial(0).outcome == pruned
    assert TrialRecord(again(tmp_path).study.get_trials()[0]).reason == "rank 2 of 2"
