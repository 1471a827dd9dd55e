"""The order in which results count: on real studies, with workers of every speed and with kills."""

import random
import tempfile
from functools import partial
from pathlib import Path

import optuna
import pytest

from pipeline.study.effort import Trainings, effort_of
from pipeline.study.events import TrialOutcome
from pipeline.study.records import TrialRecord, TrialWriter
from pipeline.study.result_order import Arrival, Lockstep, replay, settle
from tests.support.controllers import EPOCHS, controller_at, epoch_result, metrics, params_of

TRIALS = 15


class Workers:
    """Workers that report a curve which follows from the parameters, each when chance lets it."""

    def __init__(
        self, place, concurrency, seed, order, pruner="halving", sampler="tpe", kills=0.0, **options
    ):
        self.place = Path(tempfile.mkdtemp(dir=place))
        self.random, self.concurrency, self.kills = random.Random(seed), concurrency, kills
        self.make, self.options = order, {"pruner": pruner, "sampler": sampler, **options}
        self.saved = {}  # number -> epochs in its checkpoint
        self.trained = 0

    def start(self):
        self.running = {}  # number -> next epoch that its worker returns
        self.ended = set()
        trials = None if "trainings" in self.options else TRIALS
        self.controller = controller_at(self.place, trials, **self.options)
        self.order = self.make(self.controller)

    def run(self):
        self.start()
        while self.step():
            if self.random.random() < self.kills:
                self.start()
        assert not self.running
        return table(self.controller.record)

    def step(self):
        while len(self.running) < self.concurrency:
            request = self.order.suggest()
            if request is None:
                break
            self.running[request.number] = request.resume_epoch + 1
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
        for ended, _ in self.order.take(number, event(self.params(number), epoch)):
            self.ended.add(ended)
        return True

    def params(self, number):
        return self.controller.record.trial(number).params


def event(params, epoch):
    """A failure for a few configurations, else a curve whose end depends on all parameters."""
    alpha, beta = params["alpha"], params["beta"]
    if alpha > 12 and epoch == 2:
        return TrialOutcome("FAIL", "diverged")
    height = 0.8 - 0.05 * abs(alpha - 2) - 0.04 * abs(beta - 1)
    value = max(0.0, height * epoch / EPOCHS + 0.1 * (params["epsilon_ratio"] - 1))
    return epoch_result(epoch, round(value, 6))


def table(study):
    """What must be the same of each trial."""
    return [
        (trial.state, trial.params, trial.values, trial.frozen.value, trial.outcome)
        for trial in study.trials()
    ]


def lockstep(workers):
    return partial(Lockstep, workers=workers)


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


@pytest.mark.parametrize("order", [Arrival, lockstep(3)], ids=["arrival", "lockstep"])
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
    ends = ((0, 4, "COMPLETE"), (0, 1, "PRUNED"), (0, 1, "FAIL"), (3, 2, None), (4, 1, None))
    for start, epochs, state in (*ends, (None, 0, None)):  # a kill came before that was stored
        trial = study.ask()
        if start is not None:
            TrialWriter(trial).start(start)
        for epoch in range(1, epochs + 1):
            TrialWriter(trial).epoch(metrics(epoch, 0.5))
        if state:
            value = 0.5 if state == "COMPLETE" else None
            study.tell(trial, value, state=optuna.trial.TrialState[state])
    begun = [TrialRecord(trial) for trial in study.get_trials()]
    assert replay(begun) == (5, {3: 5, 4: 5})
    assert replay(begun[:3]) == (4, {})


@pytest.mark.parametrize("pruner", ["halving", "none"])
def test_a_limit_of_effort_is_never_passed_and_kills_change_nothing(tmp_path, pruner):
    """A place waits until what others may still need is pruned; then a trial begins there."""
    options = {"pruner": pruner, "sampler": "tpe", "trainings": Trainings(12, EPOCHS)}
    expected = Workers(tmp_path, 1, 0, lockstep(3), **options).run()
    trained = sum(len(values) for _, _, values, _, _ in expected)
    assert 11 * EPOCHS < trained <= 12 * EPOCHS
    assert len(expected) == 12 if pruner == "none" else len(expected) > 12
    for seed in range(1, 9):
        workers = Workers(tmp_path, 1 + seed % 4, seed, lockstep(3), kills=0.2, **options)
        assert workers.run() == expected
        assert effort_of(workers.controller.study).trained == trained


def test_what_is_held_of_a_trial_is_dropped_when_its_worker_died(tmp_path):
    workers = Workers(tmp_path, 2, 7, lockstep(2))
    workers.start()
    study = workers.controller.record
    first, second = workers.order.suggest(), workers.order.suggest()
    params = workers.params(second.number)
    workers.order.take(second.number, event(params, 1))  # waits for the first
    assert study.trial(second.number).values == {}
    assert workers.controller.retry(second.number, "its worker process died") is None
    workers.order.forget(second.number)
    again = workers.order.suggest()
    assert (again.number, again.resume_epoch) == (second.number, 0)
    workers.order.take(second.number, event(params, 1))
    workers.order.take(first.number, event(workers.params(0), 1))
    for number in (first.number, second.number):
        assert list(study.trial(number).values) == [1]


def test_as_they_arrive_a_result_says_whether_its_trial_ends(tmp_path):
    controller = controller_at(tmp_path, pruner="halving")
    order = Arrival(controller)
    good, bad, lost = (order.suggest().number for _ in range(3))
    assert order.take(good, epoch_result(1, 0.4)) == []
    stopped = TrialOutcome("PRUNED", "rank 2 of 2 at epoch 1, the limit is 1")
    assert order.take(bad, epoch_result(1, 0.1)) == [(bad, stopped)]
    diverged = TrialOutcome("FAIL", "diverged")
    assert order.take(lost, diverged) == [(lost, diverged)]
    assert [order.take(good, epoch_result(epoch, 0.4)) for epoch in (2, 3)] == [[], []]
    assert order.take(good, epoch_result(4, 0.4)) == [(good, TrialOutcome("COMPLETE"))]
    assert [trial.state for trial in controller.record.trials()] == ["COMPLETE", "PRUNED", "FAIL"]


def test_in_lockstep_a_result_says_which_trials_end_by_it_others_too(tmp_path):
    controller = controller_at(tmp_path, pruner="halving")
    order = Lockstep(controller, workers=3)
    first, second, third = (order.suggest().number for _ in range(3))
    diverged = TrialOutcome("FAIL", "diverged")
    assert order.take(third, diverged) == []  # the others come before it
    assert order.take(second, epoch_result(1, 0.1)) == []
    assert order.take(second, epoch_result(2, 0.9)) == []  # its worker runs ahead
    assert controller.record.trial(second).values == {}
    stopped = TrialOutcome("PRUNED", "rank 2 of 2 at epoch 1, the limit is 1")
    ended = order.take(first, epoch_result(1, 0.4))
    assert ended == [(second, stopped), (third, diverged)]
    assert [controller.record.trial(n).state for n in (first, second, third)] == [
        "RUNNING",
        "PRUNED",
        "FAIL",
    ]
    assert list(controller.record.trial(second).values) == [1]


def test_an_event_that_settles_nothing_leaves_the_trial_running(tmp_path):
    controller = controller_at(tmp_path)
    request = controller.ask()
    assert settle(controller, request.number, event(params_of(controller, request), 1)) is None
    assert controller.record.trial(request.number).state == "RUNNING"
