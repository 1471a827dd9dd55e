"""What the driver keeps of all trials is what a scan of the study finds, at every moment."""

import statistics

import numpy as np
import optuna
from hypothesis import given, settings
from hypothesis import strategies as drawn
from optuna.trial import TrialState

from pipeline.samplers._observations import Observations
from pipeline.study.budget import TimeBudget
from pipeline.study.effort import effort_of
from pipeline.study.epoch_values import EpochValues, values_at
from pipeline.study.followed_storage import index_of, moment
from pipeline.study.heartbeat import Heartbeat
from pipeline.study.progress import progress
from pipeline.study.ranking import complete, ranked, violates
from pipeline.study.records import StudyRecord, TrialRecord
from pipeline.views.live import LiveView
from pipeline.views.redrawn import console
from tests.support.controllers import EPOCHS, controller_of, epoch_result, problem_of, study_at
from tests.support.histories import Lines, begin, go, scanned, steps

STATES = list(TrialState)
METHODS = drawn.tuples(
    drawn.sampled_from(["none", "collapse+halving", "hyperband", "median"]),
    drawn.sampled_from(["random", "bohb", "tpe"]),
)


@settings(max_examples=60, deadline=None)
@given(history=steps, methods=METHODS)
def test_every_index_says_what_a_scan_finds(history, methods):
    journal, running = Lines(), {}
    driver = begin(journal, pruner=methods[0], sampler=methods[1])
    driver, views = _follow(driver)
    for step in history:
        before = driver
        driver = go(driver, step, running)
        if driver is not before:
            driver, views = _follow(driver)
        for trial in driver.drain_changes():
            views.trial_changed(trial)
        _hold(driver, journal, views)


def _follow(driver):
    """Let every view begin early, so that it must follow all that comes."""
    for epoch in range(1, EPOCHS + 1):
        values_at(driver.study, epoch)
    complete(driver.record)
    effort_of(driver.study)
    for at_common in (True, False):
        key = ("observations", at_common, not at_common)
        index_of(driver.study).view(key, Observations(at_common, not at_common))
    live = LiveView(driver.record, ("alpha",), 50, TimeBudget(), console())
    with live:
        pass
    return driver, live


def _hold(driver, journal, live):
    study, index = scanned(journal), index_of(driver.study)
    trials = study.study.get_trials(deepcopy=False)
    assert index.trials == trials
    for state in STATES:
        numbers = [trial.number for trial in trials if trial.state == state]
        assert index.numbers(state) == numbers
        assert driver.study.get_trials(states=(state,)) == [trials[n] for n in numbers]
    ended = [trial for trial in trials if trial.state.is_finished()]
    failing = len(ended) >= 3 and {trial.state for trial in ended} == {TrialState.FAIL}
    waiting = [TrialRecord(trial) for trial in trials if trial.state == TrialState.WAITING]
    assert driver.failing == failing
    assert driver.hopeless == (failing and not any(trial.begun for trial in waiting))
    assert driver.queue.empty() == (len(trials) >= driver.queue.total and not waiting)
    for epoch in range(1, EPOCHS + 1):
        found = values_at(driver.study, epoch)
        values = [t.intermediate_values[epoch] for t in trials if epoch in t.intermediate_values]
        assert list(found.ordered) == sorted(values)
        for trial in trials[-3:]:
            others = {
                t.number: t.intermediate_values[epoch]
                for t in trials
                if epoch in t.intermediate_values and t.number != trial.number
            }
            better = sum(value > 0.5 for value in others.values())
            assert found.rank(trial.number, 0.5) == (1 + better, len(others) + 1)
    order = [trial for trial in ranked(study) if trial.state == "COMPLETE"]
    assert list(complete(driver.record).best(len(trials))) == [trial.number for trial in order]
    assert complete(driver.record).defaults == {t.number for t in order if t.is_default}
    _hold_observations(index, trials)
    _hold_effort(driver, [TrialRecord(trial) for trial in trials])
    best = max(
        (trial for trial in order if not violates(trial)),
        key=lambda trial: trial.final.robust,
        default=None,
    )
    shown = live._headline()
    assert shown.startswith(f"{len(ended)} of 50 trials ended, ")
    assert best is None or f"best {best.final_robust:.3f}" in shown
    assert (best is None) == ("no best yet" in shown)


def _hold_effort(driver, trials):
    found, begun = effort_of(driver.study), [trial for trial in trials if trial.begun]
    assert found.trained == sum(len(trial.known) for trial in trials)
    assert found.needed == sum(EPOCHS - len(trial.known) for trial in begun if not trial.ended)
    assert found.begun == len(begun)
    running = [trial.number for trial in trials if trial.state == "RUNNING" and not trial.begun]
    assert sorted(found.blank) == running
    driver.record.set_extent({"epochs": 100 * EPOCHS})
    assert progress(driver.record) == min(1, found.trained / (100 * EPOCHS))


def _hold_observations(index, trials):
    for at_common in (True, False):
        key = ("observations", at_common, not at_common)
        followed = index.view(key, Observations(at_common, not at_common))
        anew = Observations(at_common, not at_common)
        for trial in trials:
            anew.put(trial)
        assert followed.finished == anew.finished
        if trials:
            number = trials[-1].number
            for one, other in zip(followed.divided(number), anew.divided(number), strict=True):
                assert list(one) == list(other)
        assert (followed.space or {}) == (anew.space or {})


@given(values=drawn.lists(drawn.integers(0, 5).map(float), min_size=1))
def test_the_middle_of_ordered_values_is_their_median(values):
    from pipeline.pruners.median import middle_of

    assert middle_of(sorted(values)) == statistics.median(values)


def test_a_value_that_is_no_number_counts_and_beats_nothing():
    found = EpochValues(1)
    for number, value in enumerate((0.5, float("nan"), 0.7)):
        found.put(_trial(number, value))
    assert found.rank(9, 0.6) == (2, 4)
    assert found.rank(9, float("nan")) == (1, 4)
    found.put(_trial(1, 0.9))
    assert found.rank(9, 0.6) == (3, 4)


def _trial(number, value):
    from optuna.trial import create_trial

    trial = create_trial(state=TrialState.RUNNING, intermediate_values={1: value})
    trial.number = number
    return trial


def test_a_trial_that_was_seen_stays_as_it_was():
    driver = begin(Lines(), pruner="none", sampler="random")
    request, seen = driver.ask(), []
    for epoch in range(1, EPOCHS + 1):
        seen.append(driver.record.trial(request.number))
        driver.report(request.number, epoch_result(epoch, 0.5))
    assert [list(trial.values) for trial in seen] == [list(range(1, n)) for n in range(1, 5)]
    assert [trial.known for trial in seen] == [list(range(1, n)) for n in range(1, 5)]


def _driver(place):
    study = study_at(place, storage=f"sqlite:///{place / 'study.db'}", beat=60)
    heart = Heartbeat(study.study, 60)
    options = {"pruner": "collapse+halving", "sampler": "bohb", "heartbeat": heart}
    return controller_of(study, problem_of(), 60, **options)


def test_two_drivers_of_a_database_see_each_others_trials(tmp_path):
    drivers, running = [_driver(tmp_path), _driver(tmp_path)], [{}, {}]
    for driver in drivers:
        _follow(driver)
    random = np.random.default_rng(0)
    kinds = ["ask", "ask", "report", "report", "report", "report", "collapse", "fail", "retry"]
    for count in range(90):
        one = int(random.integers(2))
        kind, which = kinds[random.integers(len(kinds))], int(random.integers(4))
        step = kind, which, float(random.integers(20) / 20)
        go(drivers[one], step, running[one])
        drivers[one].drain_changes()
        if count % 10 == 9:
            plain = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'study.db'}")
            trials = plain.get_trials(deepcopy=False)
            for driver in drivers:
                index = index_of(driver.study)
                assert index.trials == trials
                _hold_observations(index, trials)
                order = [t.number for t in ranked(StudyRecord(plain)) if t.state == "COMPLETE"]
                assert list(complete(driver.record).best(100)) == order
    ended = [sum(t.state.is_finished() for t in index_of(one.study).trials) for one in drivers]
    assert ended[0] == ended[1] >= 5
    assert drivers[0].ask() is not None and drivers[1].shared


def test_what_another_driver_wrote_is_seen_in_the_next_event_and_not_within_one(tmp_path):
    one, other = _driver(tmp_path), _driver(tmp_path)
    first = one.ask()
    with moment(other.study):
        assert other.record.trial(first.number).last_epoch == 0
        one.report(first.number, epoch_result(1, 0.5))
        assert other.record.trial(first.number).last_epoch == 0  # one state for one event
    assert other.record.trial(first.number).last_epoch == 1
    assert other.ask().number == 1
    assert [trial.number for trial in one.record.trials()] == [0, 1]
