"""`freeze` as a study uses it: what it decides, in words, and that nothing but the study counts."""

import sys
from dataclasses import replace

import numpy as np
import optuna
import pytest

from benchmarks.simulated import Trained, simulate
from benchmarks.ways import Way
from pipeline import pruners
from pipeline.forecast.guard import GUARD, first_trials
from pipeline.forecast.outlook import UntilNoise, outlook
from pipeline.problem.space import Choice, Float, Int, SearchSpace
from pipeline.pruners.freeze import freeze
from pipeline.study.records import StudyRecord
from pipeline.study.storage import open_storage
from regmix.evaluation.results import pack
from tests.support.controllers import controller_at, epoch_result

EPOCHS = 4


class Hill:
    """Ends by the distance from a place in a space of every kind; some curves cross late."""

    epochs, eval_every, trainings = 12, 1, 20
    space = SearchSpace(
        "hill",
        "",
        {},
        {
            "a": Float(0.01, 10, log=True),
            "b": Float(0, 1),
            "n": Int(1, 5),
            "kind": Choice(("x", "y", "z")),
        },
        "",
    )

    def trained(self, params):
        away = (np.log10(params["a"]) / 3) ** 2 + (params["b"] - 0.7) ** 2
        away += (params["n"] - 3) ** 2 / 16 + 0.1 * (params["kind"] != "y")
        end, slow = max(0.1, 0.9 - 1.5 * away), 0.6 + 0.1 * params["b"]
        curve = [end * (1 - slow**epoch) for epoch in range(1, 13)]
        return Trained(curve, curve[-1], end)


def ends(way):
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    task = Hill()
    return [
        simulate(Way.parse(way).method(task, seed), task, 4, [1.0]).last[0] for seed in range(6)
    ]


def test_it_finds_better_configurations_than_chance_at_the_same_effort():
    found, chance = ends("f=freeze+freeze"), ends("r=random+halving")
    assert np.mean(found) > np.mean(chance) + 0.03
    assert min(found) > 0.8


def value(params, epoch):
    """How robust a trial of `wamr` is after an epoch: the nearer alpha is to 1, the more."""
    end = 0.6 - 0.1 * np.log10(params["alpha"]) ** 2 - 0.1 * abs(params["epsilon_ratio"] - 1)
    return round(float(end * (1 - 0.4**epoch)), 6)


def folder(place):
    """Make a folder for a study."""
    place.mkdir(exist_ok=True)
    return place


def driven(place, until=None, extent=40):
    """Run a study until so many epochs were reported; return what each trial became."""
    controller = controller_at(place, extent, pruner="freeze", sampler="freeze", seed=3)
    controller.record.use({"seed": 3})
    controller.record.set_extent({"trials": extent})
    reported = 0
    while (request := controller.ask()) is not None:
        outcome, epoch = None, request.resume_epoch
        while outcome is None:
            if reported == until:
                return None
            epoch, reported = epoch + 1, reported + 1
            result = epoch_result(epoch, value(request.config.flat(), epoch))
            outcome = controller.report(request.number, result)
        controller.tell(request.number, outcome)
    return [(t.params, t.state, t.last_epoch, t.reason) for t in controller.record.trials()]


def test_after_a_kill_at_any_epoch_it_decides_as_without(tmp_path):
    whole = driven(folder(tmp_path / "whole"))
    assert {state for _, state, _, _ in whole} == {"COMPLETE", "PRUNED"}
    for until in (5, 61, 75, 92):
        place = folder(tmp_path / str(until))
        assert driven(place, until) is None
        assert driven(place) == whole


def test_a_stop_says_why_and_none_comes_in_the_last_quarter(tmp_path):
    trials = driven(tmp_path)
    late = [t for t in trials[GUARD:] if t[1] == "PRUNED"]
    assert late
    for _, _, epoch, reason in late:
        assert f"at epoch {epoch}, " in reason and " new configurations" in reason
        assert len(reason) < 110
    assert [state for _, state, _, _ in trials[30:]] == ["COMPLETE"] * 10
    early = [reason for _, state, _, reason in trials[: GUARD - 1] if state == "PRUNED"]
    assert early and all(reason.startswith("rank ") for reason in early)


def test_without_the_model_the_first_trials_are_those_of_random_search(tmp_path):
    frozen, random = (
        controller_at(folder(tmp_path / name), 6, sampler=name, seed=9)
        for name in ("freeze", "random")
    )
    for _ in range(6):
        assert frozen.ask().config == random.ask().config


@pytest.mark.parametrize(
    ("extent", "expected"),
    [({}, 16), ({"trials": 40}, 16), ({"epochs": 15 * 4}, sys.maxsize), ({"epochs": 16 * 4}, 10)]
    + [({"epochs": 24 * 4}, 12), ({"epochs": 90 * 4}, 16)],
)
def test_half_of_the_trainings_are_first_trials(tmp_path, extent, expected):
    controller = controller_at(tmp_path)
    controller.record.set_extent(extent)
    request = controller.ask()
    controller.report(request.number, epoch_result(1, 0.3))
    assert first_trials(controller.record, GUARD) == expected


@pytest.mark.parametrize(
    ("epochs", "every", "rungs"),
    [(52, 1, (6, 11, 18, 26, 35, 44)), (12, 1, (2, 3, 4, 6, 8, 10)), (12, 3, (3, 6, 9))]
    + [(30, 3, (3, 6, 12, 15, 21, 27)), (1, 1, ()), (2, 3, ())],
)
def test_rungs_are_epochs_with_a_validation(epochs, every, rungs):
    assert freeze(epochs, every).rungs == rungs
    assert pruners.build("freeze", epochs, every) == freeze(epochs, every)


def test_hyperparameters_are_stored_and_sought_again_as_values_come(tmp_path):
    driven(tmp_path)
    storage = open_storage(None, tmp_path)
    record = StudyRecord(optuna.load_study(study_name="s", storage=storage))
    found, count = record.hyperparameters
    assert len(found) == 3 + 5
    values = sum(len(trial.values) for trial in record.trials())
    assert values / 1.3 < count <= values


def test_a_front_is_left_to_tpe_and_halving(tmp_path):
    controller = controller_at(tmp_path, sampler="freeze", front=True)
    inner = controller.sampler(30)._inner._inner
    assert type(inner).__name__ == "ParzenSampler"


def judged(request, epoch, robust):
    """An epoch whose last evaluation says which of 1,000 images survive: the first ones."""
    result = epoch_result(epoch, robust)
    if result.metrics.final is None:
        return result
    hits = result.metrics.final.hits
    final = replace(result.metrics.final, survivors=pack([n < hits for n in range(1000)]))
    return replace(result, metrics=replace(result.metrics, final=final))


def until_noise(place, worth):
    """Search until it is pointless, for at most 60 trials; return the record."""
    controller = controller_at(place, 60, pruner="none", sampler="freeze")
    controller.record.hold("rules", {"objective": "robust"})
    controller.queue = UntilNoise(controller.record, controller.queue)
    while (request := controller.ask()) is not None:
        outcome, epoch = None, 0
        while outcome is None:
            epoch += 1
            robust = worth(request.config.flat()) * (1 - 0.4**epoch)
            outcome = controller.report(request.number, judged(request, epoch, robust))
        controller.tell(request.number, outcome)
    return controller.record


def test_where_nothing_matters_the_search_ends_and_says_why(tmp_path):
    record = until_noise(tmp_path, lambda params: 0.5)
    assert len(record.trials()) <= GUARD + 2
    assert record.pointless.endswith("more of them are pointless")
    assert "gain at most 0.00" in record.pointless
    assert outlook(record).pointless


def test_where_much_is_left_to_gain_it_goes_on(tmp_path):
    record = until_noise(tmp_path, lambda p: 0.6 - 0.1 * np.log10(p["alpha"]) ** 2)
    best = max(trial.final_robust for trial in record.trials())
    assert len(record.trials()) > GUARD and best > 0.56


def test_to_look_at_the_outlook_changes_nothing(tmp_path):
    driven(tmp_path, until=70)
    record = StudyRecord(optuna.load_study(study_name="s", storage=open_storage(None, tmp_path)))
    before = dict(record.study.user_attrs)
    outlook(record)
    assert record.study.user_attrs == before
