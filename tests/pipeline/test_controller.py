"""The study through its bridge: a real Optuna study in a real journal, no Ray."""

import pytest

from pipeline import pruners
from pipeline.study.budget import TimeBudget
from pipeline.study.records import TrialOutcome
from tests.support.controllers import MACHINE, bridge_at, finish, metrics


def test_a_trial_is_complete_with_the_judgement_of_its_end(tmp_path):
    bridge = bridge_at(tmp_path)
    request = bridge.ask()
    endings = [bridge.report(0, metrics(e, 0.1 * e, judged=0.3), MACHINE) for e in range(1, 5)]
    assert endings == [None, None, None, TrialOutcome("COMPLETE")]
    bridge.tell(request.number, endings[-1])
    trial = bridge.frozen(0)
    assert (trial.state.name, trial.value) == ("COMPLETE", 0.3)
    assert trial.intermediate_values[4] == pytest.approx(0.4)
    assert trial.user_attrs["machine"] == MACHINE


def test_it_asks_for_as_many_trials_as_the_study_shall_have(tmp_path):
    bridge = bridge_at(tmp_path, trials=3)
    requests = [bridge.ask() for _ in range(3)]
    assert [request.number for request in requests] == [0, 1, 2]
    assert bridge.ask() is None
    for request in requests:
        finish(bridge, request)
    assert bridge.remaining() == 0
    longer = bridge_at(tmp_path, trials=5)
    assert longer.remaining() == 2
    assert longer.ask().number == 3


def test_a_running_trial_of_a_dead_driver_is_handed_out_first_under_its_own_number(tmp_path):
    dead = bridge_at(tmp_path)
    first, second = dead.ask(), dead.ask()
    dead.report(second.number, metrics(1, 0.3), MACHINE)
    living = bridge_at(tmp_path)
    again = [living.ask(), living.ask(), living.ask()]
    assert [request.number for request in again] == [0, 1, 2]
    assert [request.config for request in again[:2]] == [first.config, second.config]
    assert [request.reported for request in again] == [0, 1, 0]


def test_a_kill_between_the_last_report_and_its_telling_is_made_good(tmp_path):
    dead = bridge_at(tmp_path, trials=1)
    dead.ask()
    for epoch in range(1, 5):
        dead.report(0, metrics(epoch, 0.4), MACHINE)
    living = bridge_at(tmp_path, trials=1)
    assert living.ask() is None
    assert (living.frozen(0).state.name, living.frozen(0).value) == ("COMPLETE", 0.4)


def test_an_epoch_that_is_told_twice_is_stored_once(tmp_path):
    bridge = bridge_at(tmp_path)
    bridge.ask()
    bridge.report(0, metrics(1, 0.3), MACHINE)
    bridge.report(0, metrics(1, 0.9), MACHINE)
    assert bridge.frozen(0).intermediate_values == {1: 0.3}


def test_a_pruned_trial_keeps_its_values_and_its_reason(tmp_path):
    bridge = bridge_at(tmp_path, pruner=pruners.build("halving", 4))
    good, bad = bridge.ask(), bridge.ask()
    assert bridge.report(good.number, metrics(1, 0.4), MACHINE) is None
    ending = bridge.report(bad.number, metrics(1, 0.1), MACHINE)
    assert ending == TrialOutcome("PRUNED", "rank 2 of 2 at epoch 1, the limit is 1")
    bridge.tell(bad.number, ending)
    trial = bridge.frozen(bad.number)
    assert (trial.state.name, trial.user_attrs["reason"]) == ("PRUNED", ending.reason)
    assert trial.intermediate_values == {1: 0.1}


def test_the_default_is_never_pruned(tmp_path):
    bridge = bridge_at(tmp_path, pruner=pruners.build("halving", 4))
    default, other = bridge.ask(), bridge.ask()
    bridge.report(other.number, metrics(1, 0.9), MACHINE)
    assert bridge.report(default.number, metrics(1, 0.1), MACHINE) is None


def test_a_failed_trial_is_no_value_for_the_sampler(tmp_path):
    bridge = bridge_at(tmp_path)
    request = bridge.ask()
    bridge.report(0, metrics(1, 0.9), MACHINE)
    bridge.tell(request.number, TrialOutcome("FAIL", "diverged"))
    trial = bridge.frozen(0)
    assert (trial.state.name, trial.value, trial.user_attrs["reason"]) == ("FAIL", None, "diverged")


def test_three_failures_and_nothing_else_end_the_search(tmp_path):
    bridge = bridge_at(tmp_path, trials=9)
    for _ in range(3):
        assert not bridge.hopeless
        bridge.tell(bridge.ask().number, TrialOutcome("FAIL", "diverged"))
    assert bridge.hopeless
    assert bridge.ask() is None


def test_a_begun_trial_still_gets_its_retry_after_three_failures(tmp_path):
    bridge = bridge_at(tmp_path, trials=9)
    requests = [bridge.ask() for _ in range(4)]
    for request in requests[:3]:
        bridge.tell(request.number, TrialOutcome("FAIL", "out of memory (2 times)"))
    assert bridge.retry(requests[3].number, "out of memory", allowed=1) is None
    assert bridge.hopeless
    assert bridge.ask() == requests[3]
    bridge.tell(requests[3].number, TrialOutcome("FAIL", "out of memory (2 times)"))
    assert bridge.ask() is None


def test_a_begun_trial_that_completes_after_three_failures_lets_the_search_go_on(tmp_path):
    bridge = bridge_at(tmp_path, trials=9)
    requests = [bridge.ask() for _ in range(4)]
    for request in requests[:3]:
        bridge.tell(request.number, TrialOutcome("FAIL", "diverged"))
    bridge.retry(requests[3].number, "a worker died", allowed=3)
    finish(bridge, bridge.ask())
    assert bridge.ask().number == 4


def test_a_budget_ends_the_study_and_says_so(tmp_path):
    bridge = bridge_at(tmp_path, clock=TimeBudget(budget=3600.0))
    request = bridge.ask()
    assert bridge.report(0, metrics(1, 0.4), MACHINE) is None
    bridge.clock.before = 3700.0
    ending = bridge.report(0, metrics(2, 0.4, seconds=100.0), MACHINE)
    assert ending == TrialOutcome("PRUNED", "the budget of 3600 s ended at epoch 2")
    bridge.tell(request.number, ending)
    assert bridge.ask() is None
    assert bridge.study.user_attrs["seconds"] >= 3600


def test_a_trial_that_is_nearly_complete_when_the_budget_ends_may_reach_its_end(tmp_path):
    bridge = bridge_at(tmp_path, clock=TimeBudget(budget=3600.0))
    bridge.ask()
    for epoch in (1, 2):
        assert bridge.report(0, metrics(epoch, 0.4, seconds=10.0), MACHINE) is None
    bridge.clock.before = 3605.0
    assert not bridge.clock.open and not bridge.clock.over
    assert bridge.report(0, metrics(3, 0.4, seconds=10.0), MACHINE) is None
    assert bridge.report(0, metrics(4, 0.4, seconds=10.0), MACHINE) == TrialOutcome("COMPLETE")
    bridge.clock.before = 3708.0
    assert bridge.clock.over


def test_no_trial_begins_that_could_not_report_an_epoch_within_the_budget(tmp_path):
    bridge = bridge_at(tmp_path, clock=TimeBudget(budget=100.0))
    bridge.ask()
    bridge.report(0, metrics(1, 0.4, seconds=60.0), MACHINE)
    bridge.clock.before = 30.0
    assert bridge.ask() is not None
    bridge.clock.before = 50.0
    assert bridge.ask() is None


def test_what_was_begun_is_closed_when_the_budget_is_used_up_and_what_was_not_waits(tmp_path):
    bridge = bridge_at(tmp_path, clock=TimeBudget(budget=100.0))
    bridge.study.enqueue_trial({"alpha": 1.0, "beta": 1.0, "epsilon_ratio": 1.0})
    bridge.ask()
    bridge.report(0, metrics(1, 0.4), MACHINE)
    bridge.recover()
    bridge.cut()
    begun, waiting = bridge.study.get_trials()
    assert (begun.state.name, begun.value) == ("PRUNED", 0.4)
    assert begun.user_attrs["reason"] == "the budget of 100 s ended at epoch 1"
    assert waiting.state.name == "WAITING"


def test_the_same_seed_asks_for_the_same_trials_also_after_a_kill(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()

    def sequence(place, sessions):
        found = []
        for count in sessions:
            bridge = bridge_at(place, trials=40)
            for _ in range(count):
                request = bridge.ask()
                found.append(bridge.frozen(request.number).params)
                finish(bridge, request, value=0.01 * len(found))
        return found

    whole = sequence(tmp_path / "a", [14])
    assert sequence(tmp_path / "b", [3, 9, 2]) == whole
    assert len({tuple(params.values()) for params in whole}) == 14


def test_another_seed_asks_for_other_trials(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    params = []
    for place, seed in ((tmp_path / "a", 0), (tmp_path / "b", 1)):
        bridge = bridge_at(place, seed=seed)
        params.append([bridge.frozen(bridge.ask().number).params for _ in range(2)])
    assert params[0][0] == params[1][0]  # the default
    assert params[0][1] != params[1][1]


def test_every_state_reaches_the_listener(tmp_path):
    seen = []
    bridge = bridge_at(tmp_path)
    bridge.changed = lambda trial: seen.append((trial.state.name, trial.last_step))
    finish(bridge, bridge.ask())
    expected = [("RUNNING", None), *(("RUNNING", epoch) for epoch in range(1, 5)), ("COMPLETE", 4)]
    assert seen == expected
