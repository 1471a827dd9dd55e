"""Drivers that share a study in a database: who lives, and whose trials are taken over."""

import pytest

from pipeline.study import optuna_private
from pipeline.study.controller import StudyController
from pipeline.study.effort import Trainings, effort_of
from pipeline.study.heartbeat import MISSED_BEATS, Heartbeat
from pipeline.study.queue import SampledQueue
from tests.support.controllers import (
    EPOCHS,
    controller_of,
    epoch_result,
    finish,
    problem_of,
    study_at,
)

pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage")


@pytest.fixture
def driver(tmp_path):
    """What makes a driver of one study in SQLite, each with a connection of its own."""

    def make(trials=3, **options):
        problem = problem_of()
        study = study_at(tmp_path, problem, f"sqlite:///{tmp_path / 'study.db'}", beat=1)
        heartbeat = Heartbeat(study.study, 1)
        return controller_of(
            study, problem, trials, sampler="random", heartbeat=heartbeat, **options
        )

    return make


def age(controller, number, seconds):
    """Let a trial's last heartbeat lie so far back."""
    import sqlalchemy

    identity = controller.record.trial(number).frozen._trial_id
    with controller.study._storage.inner._backend.engine.begin() as connection:
        connection.execute(
            sqlalchemy.text(
                "UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, :ago) "
                "WHERE trial_id = :identity"
            ),
            {"ago": f"-{seconds} seconds", "identity": identity},
        )


def test_a_living_drivers_trials_are_left_alone_and_a_dead_ones_go_on(driver):
    one, other = driver(), driver()
    mine, theirs = one.ask(), other.ask()
    assert (mine.number, theirs.number) == (0, 1)
    one.report(0, epoch_result(1, 0.4))
    assert driver().requeue_orphans() == []
    age(one, 0, 60)
    assert other.requeue_orphans() == [0]
    again = other.ask()
    assert (again.number, again.resume_epoch) == (0, 1)
    assert driver().requeue_orphans() == []  # its old beat does not count any more


def test_a_driver_puts_back_only_its_own_at_its_end(driver):
    one, other = driver(), driver()
    one.ask(), other.ask()
    assert one.requeue_own() == [0]
    assert other.record.trial(1).state == "RUNNING"
    assert other.ask().number == 0


class OneLeft(SampledQueue):
    """What a driver saw that looked before another one began the last trial."""

    def empty(self):
        return False


def test_no_trial_too_many_where_both_ask_for_the_last(driver):
    one, other = driver(trials=2), driver(trials=3)
    one.ask()
    other.ask(), other.ask()
    assert one.ask() is None
    late = driver(trials=2)
    late.queue = OneLeft(late.study, 2)
    assert late.ask() is None
    trial = late.record.trial(3)
    assert (trial.state, trial.reason) == ("FAIL", "another driver began the last trial")
    assert not trial.begun
    assert late.heartbeat.own == frozenset()


def test_no_training_too_many_where_both_begin_with_the_last(driver, monkeypatch):
    """Both saw room: the later one ends, the earlier waits, and begins where there is room."""
    one, other = (driver(trials=None, trainings=Trainings(2, EPOCHS)) for _ in range(2))
    one.ask()
    with monkeypatch.context() as patch:
        patch.setattr(StudyController, "has_effort", True)  # what both saw a moment ago
        blank = one.study.ask().number  # one is between taking it and its look
        assert other.ask() is None
        late = other.record.trial(2)
        assert (late.state, late.reason) == ("FAIL", "another driver began the last trial")
        one.record.enqueue({"alpha": 1.0, "beta": 1.0, "epsilon_ratio": 1.0}, "x")
        assert other.ask() is None  # the last is taken by now
    assert not one.has_effort and one.ask() is None
    assert [trial.state for trial in one.record.trials()] == ["RUNNING", "RUNNING", "FAIL", "FAIL"]
    assert effort_of(one.study).blank == {blank}


def test_while_another_driver_runs_trials_the_study_is_not_over(driver):
    one, other = driver(trials=1), driver(trials=1)
    one.ask()
    assert other.ask() is None and other.shared
    assert not one.shared


def test_a_driver_beats_for_what_it_runs_and_for_nothing_else(driver):
    controller = driver()
    heartbeat = controller.heartbeat
    assert heartbeat.own == frozenset()
    requests = [controller.ask() for _ in range(3)]
    assert heartbeat.own == {0, 1, 2}
    finish(controller, requests[0])
    assert heartbeat.own == {1, 2}
    assert controller.retry(1, "its worker process died") is None
    assert heartbeat.own == {2}
    assert controller.requeue_own() == [2]
    assert heartbeat.own == frozenset()


def test_to_adopt_a_trial_is_to_beat_for_it_at_once(driver):
    one, other = driver(), driver()
    one.ask()
    age(one, 0, 60)
    assert other.heartbeat.stale() == [0]
    one.heartbeat.adopt(0)
    assert other.heartbeat.stale() == []
    assert one.heartbeat.own == {0}
    one.heartbeat.drop(0)
    one.heartbeat.drop(0)  # changes nothing
    assert one.heartbeat.own == frozenset()


def test_a_driver_never_takes_its_own_trials_for_a_dead_ones(driver):
    controller = driver()
    controller.ask()
    age(controller, 0, 60)  # its database was away for so long
    assert controller.heartbeat.stale() == []
    assert optuna_private.silent(controller.study) == {0}


def test_a_driver_that_died_before_its_first_beat_is_found_by_its_blank_trial(driver, monkeypatch):
    """The trial has neither beat nor configuration; time is counted from when it was first seen."""
    import time

    dead, living = driver(), driver()
    dead.study.ask()  # the driver died within `ask`
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert living.heartbeat.stale() == []
    now += MISSED_BEATS * living.heartbeat.seconds
    assert living.heartbeat.stale() == []
    now += 0.001
    assert living.heartbeat.stale() == [0]


def test_the_beating_ends_with_its_context(driver):
    controller = driver()
    with controller.heartbeat as heartbeat:
        thread = heartbeat._thread
        assert thread.is_alive()
    assert not thread.is_alive()
