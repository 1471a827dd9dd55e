"""The study through its controller: a real Optuna study in a real journal, no Ray."""

import pytest
from optuna.trial import TrialState

from pipeline.study.budget import Pace, TimeBudget
from pipeline.study.events import EpochResult, TrialOutcome
from pipeline.study.records import ComputedOn
from tests.support.controllers import (
    MACHINE,
    VERSIONS,
    controller_at,
    epoch_result,
    finish,
    kill_at_write,
    metrics,
    params_of,
    study_at,
)


def test_a_trial_is_complete_with_the_final_evaluation_of_its_end(tmp_path):
    controller = controller_at(tmp_path)
    request = controller.ask()
    outcomes = [
        controller.report(0, epoch_result(epoch, 0.1 * epoch, final_robust=0.3))
        for epoch in range(1, 5)
    ]
    assert outcomes == [None, None, None, TrialOutcome("COMPLETE")]
    controller.tell(request.number, outcomes[-1])
    trial = controller.record.trial(0)
    assert (trial.state, trial.final_robust) == ("COMPLETE", 0.3)
    assert trial.values[4] == pytest.approx(0.4)
    assert trial.computed_on == (ComputedOn(1, MACHINE, VERSIONS),)


def test_where_an_epoch_was_computed_is_kept_from_the_epoch_on_with_which_it_changed(tmp_path):
    controller = controller_at(tmp_path)
    number, newer = controller.ask().number, {**VERSIONS, "code": "f0"}
    for epoch, versions in enumerate((VERSIONS, VERSIONS, newer), start=1):
        controller.report(number, EpochResult(metrics(epoch, 0.3), MACHINE, versions))
    assert controller.record.trial(number).computed_on == (
        ComputedOn(1, MACHINE, VERSIONS),
        ComputedOn(3, MACHINE, newer),
    )


def test_it_asks_for_as_many_trials_as_the_study_shall_have(tmp_path):
    controller = controller_at(tmp_path, trials=3)
    requests = [controller.ask() for _ in range(3)]
    assert [request.number for request in requests] == [0, 1, 2]
    assert controller.ask() is None
    for request in requests:
        finish(controller, request)
    assert controller.queue.empty()
    longer = controller_at(tmp_path, trials=5)
    assert not longer.queue.empty()
    assert [longer.ask().number, longer.ask().number, longer.ask()] == [3, 4, None]


def test_a_running_trial_of_a_dead_driver_is_handed_out_first_under_its_own_number(tmp_path):
    dead = controller_at(tmp_path)
    first, second = dead.ask(), dead.ask()
    dead.report(second.number, epoch_result(1, 0.3))
    living = controller_at(tmp_path)
    again = [living.ask(), living.ask(), living.ask()]
    assert [request.number for request in again] == [0, 1, 2]
    assert [request.config for request in again[:2]] == [first.config, second.config]
    assert [request.resume_epoch for request in again] == [0, 1, 0]


def test_a_kill_between_the_last_report_and_its_telling_is_made_good(tmp_path):
    dead = controller_at(tmp_path, trials=1)
    dead.ask()
    for epoch in range(1, 5):
        dead.report(0, epoch_result(epoch, 0.4))
    living = controller_at(tmp_path, trials=1)
    assert living.ask() is None
    trial = living.record.trial(0)
    assert (trial.state, trial.final_robust) == ("COMPLETE", 0.4)


def test_a_failure_is_stored_before_the_state_and_found_again_after_a_kill_between_the_two(
    tmp_path,
):
    failure = TrialOutcome("FAIL", "diverged: the loss is nan")
    dead = controller_at(tmp_path)
    dead.ask()
    dead.report(0, epoch_result(1, 0.4))
    with kill_at_write(1):
        dead.tell(0, failure)
    left = dead.record.trial(0)
    assert (left.state, left.outcome) == ("RUNNING", failure)
    living = controller_at(tmp_path)
    told = living.record.trial(0)
    assert (told.state, told.outcome, told.reason) == ("FAIL", failure, failure.reason)
    assert [trial.number for trial in living.drain_changes()] == [0]
    assert living.ask().number == 1


def test_an_outcome_whose_epoch_was_never_told_is_no_outcome(tmp_path):
    """The kill came between the two: the epoch comes again, and what was decided holds."""
    dead = controller_at(tmp_path, pruner="halving")
    dead.ask(), dead.ask()
    dead.report(0, epoch_result(1, 0.4))
    with kill_at_write(3):  # machine, outcome and value are stored, the metrics are not
        dead.report(1, epoch_result(1, 0.1))
    living = controller_at(tmp_path, pruner="halving")
    left = living.record.trial(1)
    assert (left.state, left.known, left.outcome) == ("WAITING", [], None)
    assert [living.ask().resume_epoch for _ in range(2)] == [1, 0]
    assert living.report(1, epoch_result(1, 0.1)).state == "PRUNED"


def test_a_kill_in_place_of_any_write_changes_nothing_in_the_end(tmp_path):
    """One worker; trial 1 fails once without its fault, 2 diverges, 3 is pruned."""

    def lived(place, killed_at):
        place.mkdir()
        with kill_at_write(killed_at) as writes:
            search(controller_at(place, trials=5, pruner="halving", sampler="random"))
        search(controller_at(place, trials=5, pruner="halving", sampler="random"))
        return len(writes), [told(trial) for trial in study_at(place).trials()]

    def search(controller):
        while request := controller.ask():
            number = request.number
            if number == 1 and not controller.record.trial(1).retries:
                controller.retry(1, "its worker process died")
            elif number == 2:
                controller.tell(2, TrialOutcome("FAIL", "diverged"))
            else:
                finish(controller, request, 0.1 if number == 3 else 0.5, raw_pgd=0.5 + number / 10)

    def told(trial):
        state = (trial.state, trial.outcome, trial.origin, trial.retries, trial.frozen.value)
        return (*state, trial.params, trial.config, trial.values, trial.epochs, trial.computed_on)

    writes, expected = lived(tmp_path / "undisturbed", -1)
    assert [row[0] for row in expected] == ["COMPLETE", "COMPLETE", "FAIL", "PRUNED", "COMPLETE"]
    for moment in range(writes):
        assert lived(tmp_path / str(moment), moment)[1] == expected, f"write {moment}"


def test_an_epoch_that_is_told_twice_is_stored_once(tmp_path):
    controller = controller_at(tmp_path)
    controller.ask()
    controller.report(0, epoch_result(1, 0.3))
    controller.report(0, epoch_result(1, 0.9))
    trial = controller.record.trial(0)
    assert trial.values == {1: 0.3}
    assert trial.latest.valid_robust == 0.3


def test_an_epoch_without_a_validation_is_known_and_stops_nobody(tmp_path):
    controller = controller_at(tmp_path, pruner="halving")
    controller.ask(), controller.ask()
    controller.report(0, epoch_result(1, 0.4))
    assert controller.report(1, epoch_result(1, None, clean=None)) is None
    trial = controller.record.trial(1)
    assert (trial.known, trial.values, trial.value, trial.clean) == ([1], {}, None, None)
    assert controller.report(1, epoch_result(2, 0.1)) is None  # alone at epoch 2
    assert controller.report(1, epoch_result(3, None, clean=None)) is None
    again = controller_at(tmp_path).record.trial(1)
    assert (again.known, again.values, again.value, again.clean) == ([1, 2, 3], {2: 0.1}, 0.1, 0.9)


def test_an_overfitted_epoch_without_a_validation_counts_with_the_present_weights(tmp_path):
    controller = controller_at(tmp_path, pruner="collapse+halving")
    controller.ask()
    broken = {"co_detected": True, "raw_fgsm": 0.8, "raw_pgd": 0.01, "clean": None}
    outcome = controller.report(0, epoch_result(1, None, **broken))
    assert outcome is not None and outcome.reason.startswith("catastrophic overfitting in epoch 1")
    assert controller.record.trial(0).values == {1: 0.01}


def test_the_last_epoch_told_twice_ends_the_trial_both_times(tmp_path):
    controller = controller_at(tmp_path, trials=1)
    controller.ask()
    for epoch in range(1, 4):
        controller.report(0, epoch_result(epoch, 0.3))
    twice = [controller.report(0, epoch_result(4, robust)) for robust in (0.3, 0.9)]
    assert twice == [TrialOutcome("COMPLETE")] * 2


def test_a_pruned_trial_keeps_its_values_and_its_reason(tmp_path):
    controller = controller_at(tmp_path, pruner="halving")
    good, bad = controller.ask(), controller.ask()
    assert controller.report(good.number, epoch_result(1, 0.4)) is None
    outcome = controller.report(bad.number, epoch_result(1, 0.1))
    assert outcome == TrialOutcome("PRUNED", "rank 2 of 2 at epoch 1, the limit is 1")
    controller.tell(bad.number, outcome)
    trial = controller.record.trial(bad.number)
    assert (trial.state, trial.reason) == ("PRUNED", outcome.reason)
    assert trial.values == {1: 0.1}


def test_the_default_is_never_pruned(tmp_path):
    controller = controller_at(tmp_path, pruner="halving")
    default, other = controller.ask(), controller.ask()
    controller.report(other.number, epoch_result(1, 0.9))
    assert controller.report(default.number, epoch_result(1, 0.1)) is None


def test_a_failed_trial_is_no_value_for_the_sampler(tmp_path):
    controller = controller_at(tmp_path)
    request = controller.ask()
    controller.report(0, epoch_result(1, 0.9))
    controller.tell(request.number, TrialOutcome("FAIL", "diverged"))
    trial = controller.record.trial(0)
    assert (trial.state, trial.frozen.value, trial.reason) == ("FAIL", None, "diverged")


def test_three_failures_and_nothing_else_end_the_search(tmp_path):
    controller = controller_at(tmp_path, trials=9)
    for _ in range(3):
        assert not controller.failing
        controller.tell(controller.ask().number, TrialOutcome("FAIL", "diverged"))
    assert controller.failing
    assert controller.ask() is None


def test_a_begun_trial_still_gets_its_retry_after_three_failures(tmp_path):
    controller = controller_at(tmp_path, trials=9)
    requests = [controller.ask() for _ in range(4)]
    for request in requests[:3]:
        controller.tell(request.number, TrialOutcome("FAIL", "out of memory (2 times)"))
    assert controller.retry(requests[3].number, "out of memory") is None
    assert controller.failing
    assert controller.ask() == requests[3]
    controller.tell(requests[3].number, TrialOutcome("FAIL", "out of memory (2 times)"))
    assert controller.ask() is None


def test_a_begun_trial_that_completes_after_three_failures_lets_the_search_go_on(tmp_path):
    controller = controller_at(tmp_path, trials=9)
    requests = [controller.ask() for _ in range(4)]
    for request in requests[:3]:
        controller.tell(request.number, TrialOutcome("FAIL", "diverged"))
    controller.retry(requests[3].number, "its worker process died")
    finish(controller, controller.ask())
    assert controller.ask().number == 4


def test_a_budget_ends_the_study_and_says_so(tmp_path):
    controller = controller_at(tmp_path, budget=TimeBudget(budget=3600.0))
    request = controller.ask()
    assert controller.report(0, epoch_result(1, 0.4)) is None
    controller.budget.before = 3700.0
    outcome = controller.report(0, epoch_result(2, 0.4, seconds=100.0))
    assert outcome == TrialOutcome("PRUNED", "the budget of 3600 s ended at epoch 2")
    controller.tell(request.number, outcome)
    assert controller.ask() is None
    assert controller.record.seconds >= 3600


def test_a_trial_that_is_nearly_complete_when_the_budget_ends_may_reach_its_end(tmp_path):
    controller = controller_at(tmp_path, budget=TimeBudget(budget=3600.0))
    budget = controller.budget
    controller.ask()
    for epoch in (1, 2):
        assert controller.report(0, epoch_result(epoch, 0.4, seconds=10.0)) is None
    budget.before = 3605.0
    assert not controller.has_time and not budget.exhausted
    assert controller.report(0, epoch_result(3, 0.4, seconds=10.0)) is None
    assert controller.report(0, epoch_result(4, 0.4, seconds=10.0)) == TrialOutcome("COMPLETE")
    budget.before = 3708.0
    assert budget.exhausted


def test_no_trial_begins_that_could_not_end_within_the_budget(tmp_path, monkeypatch):
    """A further trial takes three epochs of 10 s and a last one of 25 s, which judges it."""
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    controller = controller_at(tmp_path, budget=TimeBudget(budget=100.0, begun=0.0))
    controller.ask()
    for epoch in range(1, 5):
        now[0] += 10
        outcome = controller.report(0, epoch_result(epoch, 0.4, seconds=10 if epoch < 4 else 25))
    controller.tell(0, outcome)
    assert controller.budget.needed(4) == 55
    assert controller.ask().number == 1  # at 40 s
    now[0] = 46
    assert not controller.has_time and controller.ask() is None


def test_a_trial_goes_on_only_where_its_epochs_that_are_left_fit(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    budget = TimeBudget(budget=100.0, begun=0.0)
    controller = controller_at(tmp_path, budget=budget)
    controller.ask()
    for epoch in (1, 2):
        controller.report(0, epoch_result(epoch, 0.4, seconds=10.0))
    now[0] = 79
    controller.requeue_orphans()
    assert controller.ask().resume_epoch == 2  # two epochs are left, 20 s
    assert controller.ask() is None  # a new trial has four
    now[0] = 80
    controller.requeue_orphans()
    assert controller.ask() is None


def test_without_a_limit_or_a_known_pace_a_trial_begins(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    free = controller_at(tmp_path / "a")
    free.ask()
    free.report(0, epoch_result(1, 0.4, seconds=1e9))
    assert free.ask() is not None
    assert controller_at(tmp_path / "b", budget=TimeBudget(budget=5.0)).ask() is not None


def test_a_new_session_knows_the_pace_of_the_study():
    first = [metrics(epoch, 0.4, seconds=10.0) for epoch in (1, 2)]
    budget = TimeBudget(budget=100.0, before=70.0, earlier=Pace.of(first))
    assert budget.fits(2) and not budget.fits(3)
    budget.record_epoch(metrics(1, 0.4, seconds=5.0))  # on another machine
    assert budget.fits(4)
    ended = Pace.of([metrics(4, 0.4, seconds=30.0)])
    assert (ended.needed(1), ended.needed(2)) == (30.0, 60.0)
    assert Pace().needed(4) == 0


def test_what_was_begun_is_closed_when_the_budget_is_used_up_and_what_was_not_waits(tmp_path):
    controller = controller_at(tmp_path, budget=TimeBudget(budget=100.0))
    controller.record.enqueue({"alpha": 1.0, "beta": 1.0, "epsilon_ratio": 1.0}, "by hand")
    controller.ask()
    controller.report(0, epoch_result(1, 0.4))
    controller.requeue_orphans()
    controller.close_unfinished()
    begun, waiting = controller.record.trials()
    assert (begun.state, begun.frozen.value) == ("PRUNED", 0.4)
    assert begun.reason == "the budget of 100 s ended at epoch 1"
    assert waiting.state == "WAITING" and waiting.frozen.state == TrialState.WAITING


def test_the_same_seed_asks_for_the_same_trials_also_after_a_kill(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()

    def sequence(place, sessions):
        found = []
        for count in sessions:
            controller = controller_at(place, trials=40)
            for _ in range(count):
                request = controller.ask()
                found.append(params_of(controller, request))
                finish(controller, request, 0.01 * len(found))
        return found

    whole = sequence(tmp_path / "a", [14])
    assert sequence(tmp_path / "b", [3, 9, 2]) == whole
    assert len({tuple(params.values()) for params in whole}) == 14


def test_another_seed_asks_for_other_trials(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    params = []
    for place, seed in ((tmp_path / "a", 0), (tmp_path / "b", 1)):
        controller = controller_at(place, seed=seed)
        params.append([params_of(controller, controller.ask()) for _ in range(2)])
    assert params[0][0] == params[1][0]  # the default
    assert params[0][1] != params[1][1]


def test_every_state_is_among_the_changes(tmp_path):
    controller, seen = controller_at(tmp_path), []

    def drain():
        seen.extend((trial.state, trial.last_epoch) for trial in controller.drain_changes())

    request = controller.ask()
    drain()
    for epoch in range(1, 5):
        outcome = controller.report(request.number, epoch_result(epoch, 0.5))
        drain()
    controller.tell(request.number, outcome)
    drain()
    expected = [("RUNNING", 0), *(("RUNNING", epoch) for epoch in range(1, 5)), ("COMPLETE", 4)]
    assert seen == expected
    drain()
    assert seen == expected  # each change once


def test_a_trial_that_is_put_back_is_among_the_changes(tmp_path):
    controller = controller_at(tmp_path)
    controller.ask(), controller.ask()
    controller.drain_changes()
    controller.retry(1, "its worker process died")
    assert [(t.number, t.state) for t in controller.drain_changes()] == [(1, "WAITING")]
    assert controller.requeue_own() == [0]
    assert [(t.number, t.state) for t in controller.drain_changes()] == [(0, "WAITING")]


def test_a_change_is_a_copy_that_later_reports_leave_alone(tmp_path):
    """Optuna's own trial goes on to change, and a listener in a thread reads its copy later."""
    controller = controller_at(tmp_path)
    request = controller.ask()
    controller.report(request.number, epoch_result(1, 0.3))
    (copy,) = controller.drain_changes()
    places, latest = copy.computed_on, copy.latest
    controller.report(request.number, epoch_result(2, 0.4))
    controller.retry(request.number, "its worker process died")
    controller.ask()
    assert copy.values == {1: 0.3}
    assert (copy.computed_on, copy.latest, copy.retries) == (places, latest, [])
    assert copy.state == "RUNNING"
    (later,) = controller.drain_changes()
    assert later.values == {1: 0.3, 2: 0.4}
