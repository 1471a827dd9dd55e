"""An event of the driver looks at the trials that it is about, however many the study has."""

from collections import Counter
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial

from pipeline.study.budget import TimeBudget
from pipeline.study.effort import Trainings
from pipeline.study.progress import progress
from pipeline.study.retention import Retention
from pipeline.trial_files.disk import DiskFiles
from pipeline.views.live import LiveView
from pipeline.views.redrawn import console
from tests.support.controllers import EPOCHS, epoch_result, finish
from tests.support.histories import Lines, begin

PARTS = ("state", "_number", "_params", "_user_attrs", "_system_attrs", "intermediate_values")


class Counted:
    """A field of a trial that counts how often it is read."""

    def __init__(self, name, looks):
        self.name, self.looks = name, looks

    def __get__(self, trial, owner=None):
        if trial is None:
            return self
        self.looks[self.name] += 1
        return trial.__dict__[self.name]

    def __set__(self, trial, value):
        trial.__dict__[self.name] = value


@pytest.fixture
def looks(monkeypatch):
    """Count every look at a part of a trial, ours and Optuna's own."""
    found = Counter()
    for name in PARTS:
        monkeypatch.setattr(FrozenTrial, name, Counted(name, found), raising=False)
    return found


def costs(looks, trials, sampler, pruner):
    """Return event -> number of looks, in a study that has so many ended trials."""
    trainings = Trainings(500, EPOCHS)
    driver = begin(Lines(), pruner=pruner, sampler=sampler, trainings=trainings)
    driver.record.set_extent({"epochs": trainings.most, "trials": 500, "budget": 1e6})
    for number in range(trials):
        finish(driver, driver.ask(), 0.3 + 0.4 * (number % 17) / 17)
    live = LiveView(driver.record, ("alpha",), 500, TimeBudget(), console(), trainings)
    found = {}

    def count(event, call):
        looks.clear()
        result = call()
        found[event] = sum(looks.values())
        return result

    with live:
        driver.drain_changes()
        _live_through(driver, live, lambda _event, call: call())  # what is built at first
        _live_through(driver, live, count)
    return found


def _live_through(driver, live, count):
    """Let a trial live to its end, with the views that follow it."""

    def shown():
        for trial in driver.drain_changes():
            live.trial_changed(trial)
            live.table()

    count("remaining", lambda: (driver.queue.empty(), driver.hopeless, driver.failing))
    count("progress", lambda: (progress(driver.record), driver.has_room, driver.to_begin))
    request = count("ask", driver.ask)
    count("shown", shown)
    for epoch in range(1, EPOCHS + 1):
        result = epoch_result(epoch, 0.99)
        outcome = count(
            f"report {epoch}", lambda result=result: driver.report(request.number, result)
        )
        count("shown", shown)
    count("tell", lambda: driver.tell(request.number, outcome))
    count("shown", shown)
    files = DiskFiles(Path("there-is-none"))
    count("retention", Retention(driver.record, files).apply)


@pytest.mark.parametrize(
    ("sampler", "pruner"),
    [
        ("bohb", "collapse+halving"),
        ("freeze", "collapse+freeze"),
        ("tpe", "hyperband"),
        ("random", "median"),
        ("random", "dominated"),
    ],
)
def test_an_event_costs_the_same_at_20_trials_and_at_160(looks, sampler, pruner):
    few, many = (costs(looks, trials, sampler, pruner) for trials in (20, 160))  # one bracket
    assert sum(few.values()) > 20  # looks are counted
    assert many == few


def test_a_look_at_every_trial_would_be_seen(looks):
    few, many = (
        _scan(looks, begin(Lines(), pruner="none", sampler="random"), count) for count in (3, 30)
    )
    assert many >= few + 27


def _scan(looks, driver, trials):
    for _ in range(trials):
        driver.ask()
    looks.clear()
    assert sum(trial.state == "RUNNING" for trial in driver.record.trials()) == trials
    return sum(looks.values())
