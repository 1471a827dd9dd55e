"""The order in which results count: on real studies, with workers of every speed and with kills."""

import random
import tempfile
from pathlib import Path

import optuna
import pytest

from pipeline import pruners
from pipeline.problem.problem import SearchProblem
from pipeline.study.controller import StudyController
from pipeline.study.records import TrialOutcome
from pipeline.study.result_order import Arrival, Epoch, Lockstep, replay
from tests.support.controllers import MACHINE, metrics, study_at

EPOCHS, TRIALS = 4, 20


class Workers:
    """Workers that report a curve which follows from the parameters, each when chance lets it."""

    def __init__(self, place, concurrency, seed, order, pruner="halving", sampler="tpe", kills=0.0):
        self.study = study_at(Path(tempfile.mkdtemp(dir=place)))
        self.random, self.concurrency, self.kills = random.Random(seed), concurrency, kills
        self.make, self.pruner, self.sampler = order, pruner, sampler
        self.saved = {}  # number -> epochs in its checkpoint
        self.trained = 0

    def start(self):
        self.running = {}  # number -> next epoch that its worker returns
        self.ended = set()
        bridge = StudyController(
            self.study,
            SearchProblem.load("wamr", "digits", {"epochs": EPOCHS}),
            pruners.build(self.pruner, EPOCHS),
            self.sampler,
            seed=0,
            trials=TRIALS,
        )
        bridge.recover()
        bridge.begin()
        self.bridge = bridge
        self.order = self.make(bridge, lambda number, ending: self.ended.add(number))

    def run(self):
        self.start()
        while self.step():
            if self.random.random() < self.kills:
                self.start()
        assert not self.running
        return table(self.study)

    def step(self):
        while len(self.running) < self.concurrency:
            request = self.order.suggest()
            if request is None:
                break
            self.running[request.number] = request.reported + 1
        if not self.running:
            return False
        number = self.random.choice(sorted(self.running))
        if number in self.ended:  # the worker hears it with its next result
            del self.running[number]
            return True
        epoch = self.running[number]
        if epoch > self.saved.get(number, 0):
            self.trained, self.saved[number] = self.trained + 1, epoch
        self.running[number] += 1
        if epoch == EPOCHS:
            del self.running[number]
        self.order.take(number, event(self.bridge.frozen(number).params, epoch))
        return True


def event(params, epoch):
    """A failure for a few configurations, else a curve whose end depends on all parameters."""
    alpha, beta = params["alpha"], params["beta"]
    if alpha > 12 and epoch == 2:
        return TrialOutcome("FAIL", "diverged")
    height = 0.8 - 0.05 * abs(alpha - 2) - 0.04 * abs(beta - 1)
    value = max(0.0, height * epoch / EPOCHS + 0.1 * (params["epsilon_ratio"] - 1))
    return Epoch(metrics(epoch, round(value, 6)), MACHINE)


def table(study):
    rows = []
    for trial in study.get_trials():
        reason = trial.user_attrs.get("reason")
        rows.append(
            (trial.state.name, trial.params, trial.intermediate_values, trial.value, reason)
        )
    return rows


def lockstep(width):
    return lambda bridge, ended: Lockstep(bridge, width, ended)


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "qmc", "random", "grid"])
@pytest.mark.parametrize("pruner", ["halving", "hyperband", "median"])
def test_in_lockstep_neither_speed_nor_number_of_workers_nor_kills_change_the_study(
    tmp_path, sampler, pruner
):
    if sampler in ("gp", "cmaes") and pruner != "halving":
        pytest.skip("slow, and the pruner does not change what these samplers do")
    options = {"pruner": pruner, "sampler": sampler}
    expected = Workers(tmp_path, 1, 0, lockstep(3), **options).run()
    states = {row[0] for row in expected}
    assert {"COMPLETE", "PRUNED"} <= states and len(expected) == TRIALS
    for concurrency, seed, kills in ((3, 1, 0.0), (2, 2, 0.1), (3, 3, 0.3), (7, 4, 0.1)):
        workers = Workers(tmp_path, concurrency, seed, lockstep(3), kills=kills, **options)
        assert workers.run() == expected


def test_as_they_arrive_speed_changes_the_study(tmp_path):
    tables = [Workers(tmp_path, 3, seed, Arrival).run() for seed in range(4)]
    assert any(found != tables[0] for found in tables)  # else lockstep would prove nothing


def test_as_they_arrive_with_one_worker_kills_change_nothing(tmp_path):
    expected = Workers(tmp_path, 1, 0, Arrival).run()
    for seed in range(4):
        assert Workers(tmp_path, 1, seed, Arrival, kills=0.3).run() == expected


@pytest.mark.parametrize("order", [Arrival, lockstep(3)])
def test_no_epoch_is_trained_twice_however_often_the_driver_dies(tmp_path, order):
    workers = Workers(tmp_path, 3, 5, order, kills=0.4)
    rows = workers.run()
    assert workers.trained == sum(workers.saved.values())
    known = sum(len(values) for _, _, values, _, _ in rows)
    assert known <= workers.trained


def test_a_worker_runs_at_most_to_its_end_ahead_of_the_order(tmp_path):
    workers = Workers(tmp_path, 3, 6, lockstep(3))
    rows = workers.run()
    assert workers.trained <= sum(EPOCHS if state != "FAIL" else 2 for state, *_ in rows)


def test_the_imagined_machine_is_found_again_from_the_study_alone():
    study = optuna.create_study()
    for epochs, state in ((4, "COMPLETE"), (1, "PRUNED"), (1, "FAIL"), (2, None), (1, None)):
        trial = study.ask()
        for epoch in range(1, epochs + 1):
            trial.report(0.5, epoch)
        if state:
            value = 0.5 if state == "COMPLETE" else None
            study.tell(trial, value, state=optuna.trial.TrialState[state])
    # three places: trial 3 begins when trial 1 ended (at 1), trial 4 when trial 2 failed (at 2)
    assert replay(study.get_trials(), 3) == ({3: 3, 4: 3}, [4])


def test_what_is_held_of_a_trial_is_dropped_when_its_worker_died(tmp_path):
    workers = Workers(tmp_path, 2, 7, lockstep(2))
    workers.start()
    first, second = workers.order.suggest(), workers.order.suggest()
    params = workers.bridge.frozen(second.number).params
    workers.order.take(second.number, event(params, 1))  # waits for the first
    assert workers.bridge.frozen(second.number).intermediate_values == {}
    assert workers.bridge.retry(second.number, "its worker process died", 3) is None
    workers.order.forget(second.number)
    again = workers.order.suggest()
    assert (again.number, again.reported) == (second.number, 0)
    workers.order.take(second.number, event(params, 1))
    workers.order.take(first.number, event(workers.bridge.frozen(0).params, 1))
    for number in (first.number, second.number):
        assert list(workers.bridge.frozen(number).intermediate_values) == [1]
