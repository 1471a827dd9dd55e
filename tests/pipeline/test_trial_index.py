"""What the driver keeps of all trials is what a scan of the study finds, at every moment."""

import statistics

from hypothesis import given, settings
from hypothesis import strategies as drawn
from optuna.trial import TrialState

from pipeline.report.formatting import console
from pipeline.report.live import LiveView
from pipeline.samplers._observations import Observations
from pipeline.study.budget import TimeBudget
from pipeline.study.epoch_values import EpochValues, values_at
from pipeline.study.followed_storage import index_of
from pipeline.study.ranking import complete, ranked, violates
from pipeline.study.records import TrialRecord
from tests.support.controllers import EPOCHS
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
    best = max(
        (trial for trial in order if not violates(trial)),
        key=lambda trial: trial.final.robust,
        default=None,
    )
    shown = live._headline()
    assert shown.startswith(f"{len(ended)} of 50 trials ended, ")
    assert best is None or f"best {best.final_robust:.3f}" in shown
    assert (best is None) == ("no best yet" in shown)


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
