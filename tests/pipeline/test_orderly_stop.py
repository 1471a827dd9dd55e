"""What a driver does with its workers at a stop, and with epochs that they trained again."""

import time
from threading import Event
from types import SimpleNamespace

import pytest
from ray.exceptions import RayActorError

from pipeline.driver.session import _differing
from pipeline.execution import orderly_stop
from pipeline.execution.gpu_share import TrialResources
from pipeline.execution.messages import DiskFailure, TrialFailure
from pipeline.execution.orderly_stop import OrderlyStop
from pipeline.execution.places import Places
from pipeline.execution.tune import TuneSession
from pipeline.study.result_order import Arrival, Lockstep
from pipeline.study.retention import Retention
from pipeline.trial_files import open_files
from tests.support.controllers import controller_at, epoch_result


class Workers:
    """Ray trials whose workers answer `keep` at a moment of their own, by a clock of their own."""

    def __init__(self, monkeypatch, **answers):
        self.answers, self.asked, self.now = answers, [], 100.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(orderly_stop, "ray", self)

    def trials(self):
        for name in self.answers:
            keep = SimpleNamespace(remote=lambda name=name: self.asked.append(name) or name)
            state = SimpleNamespace(ray_actor=SimpleNamespace(keep=keep))
            yield SimpleNamespace(trial_id=name, temporary_state=state)
        yield SimpleNamespace(trial_id="no actor", temporary_state=SimpleNamespace(ray_actor=None))

    def wait(self, waiting, *, timeout):
        self.now += timeout
        done = [name for name in waiting if self.answers[name][0] <= self.now - 100]
        return done[:1], waiting

    def get(self, name):
        if isinstance(self.answers[name][1], Exception):
            raise self.answers[name][1]
        return self.answers[name][1]


def stop_of(workers):
    stop = OrderlyStop(60, workers.trials)
    for name in ("no actor", *workers.answers):
        if name != "fresh":
            stop.note(name, unsaved=name != "due")
    return stop


def test_a_stop_waits_for_what_no_checkpoint_has_and_for_nothing_else(monkeypatch):
    workers = Workers(monkeypatch, fresh=(1e9, None), slow=(45, None), due=(1e9, None))
    assert list(stop_of(workers).save()) == []
    assert workers.asked == ["slow", "due"]  # who has trained nothing is not asked
    assert 45 <= workers.now - 100 < 46  # and what was begun 30 s ago is written


def test_a_stop_that_is_not_answered_has_an_end(monkeypatch):
    workers = Workers(monkeypatch, hangs=(1e9, None))
    assert list(stop_of(workers).save()) == []
    assert 90 <= workers.now - 100 < 91


def test_who_died_is_no_error_and_who_could_not_write_is_told(monkeypatch):
    full, bug = DiskFailure(28, "f"), TrialFailure("bug", "ValueError: no", "Traceback")
    workers = Workers(monkeypatch, dead=(2, RayActorError()), full=(3, full), odd=(1, bug))
    assert list(stop_of(workers).save()) == [("odd", bug), ("full", full)]


def test_who_has_ended_is_not_waited_for(monkeypatch):
    workers = Workers(monkeypatch, ended=(1e9, None))
    stop = stop_of(workers)
    stop.forget("ended")
    assert list(stop.save()) == []
    assert workers.now == 100


@pytest.fixture(params=["arrival", "lockstep"])
def session(request, tmp_path):
    controller = controller_at(tmp_path)
    order = Arrival(controller) if request.param == "arrival" else Lockstep(controller, 1)
    retention = Retention(controller.record, open_files(str(tmp_path / "files")))
    places = Places(TrialResources(1, 1.0, 0.0), None)
    return TuneSession(controller, order, retention, places, Event(), OrderlyStop(60))


def test_an_epoch_that_was_trained_again_is_compared_and_counts_once(session):
    session.suggest("a")
    controller = session.controller
    session.take("a", epoch_result(1, 0.5))
    trained = controller.budget.trained
    assert not session.take("a", epoch_result(1, 0.5, seconds=9.0))
    assert session.differing == set()
    assert not session.take("a", epoch_result(1, 0.4))
    assert session.differing == {0}
    assert not session.take("a", epoch_result(2, 0.6))
    assert controller.record.trial(0).values == {1: 0.5, 2: 0.6}
    assert controller.budget.trained == trained + 1
    assert controller.budget.needed(2) == 2.0  # at one second an epoch


def test_a_full_disk_at_a_stop_is_an_error_of_the_disk(session, monkeypatch):
    monkeypatch.setattr(session.stopping, "save", lambda: iter([("a", DiskFailure(28, "f"))]))
    with pytest.raises(OSError, match="disk") as told:
        session.save()
    assert (told.value.errno, told.value.filename) == (28, "f")


def test_a_bug_at_a_stop_is_kept_for_the_end(session, monkeypatch):
    session.suggest("a")
    failures = [("a", TrialFailure("bug", "x", "Traceback")), ("a", TrialFailure("bug", "x", "2"))]
    monkeypatch.setattr(session.stopping, "save", lambda: iter(failures))
    session.save()
    assert session.bugs == {0: "Traceback"}


def test_other_numbers_are_told_in_one_line():
    assert "epochs of trial 3 came to other numbers" in _differing({3})
    many = _differing(set(range(100, 900)))
    assert "epochs of trials 100, 101, 102, 103, 104, ... came" in many
    assert "\n" not in many and len(many) <= 285
