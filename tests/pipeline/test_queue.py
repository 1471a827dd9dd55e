"""Which trials a search has still to do; the queue of a race is in `test_rounds`."""

import optuna
import pytest
from optuna.trial import TrialState

from pipeline.study.queue import SampledQueue


@pytest.fixture
def study():
    return optuna.create_study(direction="maximize")


def test_a_queue_is_empty_once_the_study_has_its_number_of_trials(study):
    queue = SampledQueue(study, 2)
    assert not queue.empty()
    trials = [study.ask(), study.ask()]
    assert queue.empty()  # both run
    for trial in trials:
        study.tell(trial, 0.5)
    assert queue.empty()
    assert not SampledQueue(study, 3).empty()


def test_what_waits_is_still_to_do_whatever_the_number(study):
    queue = SampledQueue(study, 1)
    study.tell(study.ask(), 0.5)
    study.enqueue_trial({"alpha": 1.0})
    assert not queue.empty()
    trial = study.ask()
    assert queue.empty()
    study.tell(trial, state=TrialState.FAIL)
    assert queue.empty()  # a failure counts


def test_a_queue_without_a_number_never_ends(study):
    queue = SampledQueue(study, None)
    for _ in range(3):
        assert not queue.empty()
        study.tell(study.ask(), 0.5)
    assert queue.total is None


def test_to_refill_it_enqueues_nothing(study):
    queue = SampledQueue(study, 3)
    queue.refill()
    assert study.get_trials() == []
