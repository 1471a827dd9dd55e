"""What the bridge decides over a trial: once, with its reason, and what it tells the sampler."""

import pytest

from pipeline import pruners
from pipeline.study.records import TrialOutcome
from tests.support.controllers import MACHINE, bridge_at, metrics


def test_a_decision_is_made_once_however_the_others_fare_before_the_next_kill(tmp_path):
    halving = {"pruner": pruners.build("halving", 4), "trials": 6}
    bridge = bridge_at(tmp_path, **halving)
    requests = [bridge.ask() for _ in range(5)]
    for request, value in zip(requests, (0.1, 0.2, 0.3, 0.4, 0.5), strict=True):
        assert bridge.report(request.number, metrics(1, value), MACHINE) is None
    again = bridge_at(tmp_path, **halving)  # now trial 1 would be 4th of 5
    assert [again.ask().number for _ in range(5)] == [0, 1, 2, 3, 4]
    assert all(again.frozen(n).state.name == "RUNNING" for n in range(5))


def test_a_stop_that_a_kill_kept_from_being_told_is_told_at_the_next_start(tmp_path):
    halving = {"pruner": pruners.build("halving", 4), "trials": 6}
    bridge = bridge_at(tmp_path, **halving)
    good, bad = bridge.ask(), bridge.ask()
    bridge.report(good.number, metrics(1, 0.4), MACHINE)
    ending = bridge.report(bad.number, metrics(1, 0.1), MACHINE)
    again = bridge_at(tmp_path, **halving)
    told = again.frozen(bad.number)
    assert (told.state.name, told.user_attrs["reason"]) == ("PRUNED", ending.reason)
    assert again.ask().number == good.number


def test_a_worker_that_dies_is_tried_again_three_times_and_memory_once(tmp_path):
    bridge = bridge_at(tmp_path)
    for reason, allowed in (("its worker process died", 3), ("out of memory", 1)):
        number = bridge.ask().number
        for _ in range(allowed):
            assert bridge.retry(number, reason, allowed) is None
            assert bridge.frozen(number).state.name == "WAITING"
            assert bridge.ask().number == number
        ending = bridge.retry(number, reason, allowed)
        assert ending == TrialOutcome("FAIL", f"{reason} ({allowed + 1} times)")
        bridge.tell(number, ending)


def test_a_collapsed_epoch_counts_with_the_present_weights_and_breaks_a_constraint(tmp_path):
    bridge = bridge_at(tmp_path, pruner=pruners.build("collapse+halving", 4))
    bridge.ask()
    bridge.report(0, metrics(1, 0.5, raw_pgd=0.4, co_ratio=0.8), MACHINE)
    fallen = metrics(2, 0.48, co_detected=True, raw_fgsm=0.6, raw_pgd=0.03, co_ratio=0.05)
    ending = bridge.report(0, fallen, MACHINE)
    assert ending.state == "PRUNED" and ending.reason.startswith("collapsed in epoch 2")
    bridge.tell(0, ending)
    trial = bridge.frozen(0)
    assert trial.intermediate_values == {1: 0.5, 2: 0.03}
    assert trial.value == 0.03  # what the sampler learns, though the average still had 0.48
    assert trial.constraints == {"co_detected": pytest.approx(0.2)}
    assert trial.user_attrs["epoch_2"]["valid_robust"] == 0.48  # what was measured


def test_one_trial_in_so_many_is_a_probe_that_no_rank_stops(tmp_path):
    bridge = bridge_at(tmp_path, trials=9, probes=3, pruner=pruners.build("collapse+halving", 4))
    requests = [bridge.ask() for _ in range(6)]
    bridge.report(0, metrics(1, 0.9), MACHINE)
    stopped = {
        request.number
        for request in requests[1:]
        if bridge.report(request.number, metrics(1, 0.2 - 0.02 * request.number), MACHINE)
    }
    assert stopped == {1, 3, 4}  # 2 and 5 are probes
    assert bridge.frozen(2).user_attrs["spared"] == "rank 3 of 3 at epoch 1, the limit is 2"
    fallen = metrics(2, 0.1, co_detected=True, raw_fgsm=0.6, raw_pgd=0.0, co_ratio=0.0)
    assert bridge.report(2, fallen, MACHINE).state == "PRUNED"  # a collapse stops it all the same


def test_clean_accuracy_below_the_limit_makes_a_complete_trial_no_candidate(tmp_path):
    from pipeline.report.leaderboard import best_in_words, candidates, ranked

    bridge = bridge_at(tmp_path, min_clean=0.8)
    for clean, robust in ((0.85, 0.4), (0.7, 0.6)):
        number = bridge.ask().number
        for epoch in range(1, 5):
            ending = bridge.report(number, metrics(epoch, robust, clean=clean), MACHINE)
        bridge.tell(number, ending)
    assert bridge.frozen(1).constraints == {"clean": pytest.approx(0.1)}
    assert [trial.number for trial in ranked(bridge.study)] == [0, 1]
    assert [trial.number for trial in candidates(bridge.study)] == [0]
    assert best_in_words(bridge.study, ("alpha",)).startswith("best: trial 0")


def test_what_pruning_cost_is_told_by_its_probes(tmp_path):
    from pipeline.report.leaderboard import pruning_in_words

    bridge = bridge_at(tmp_path, trials=9, probes=3, pruner=pruners.build("halving", 4))
    for late in (0.5, 0.1, 0.8):  # trial 2 is slow at first, and the best at its end
        number = bridge.ask().number
        for epoch in range(1, 5):
            value = 0.2 if number == 2 and epoch < 4 else late
            ending = bridge.report(number, metrics(epoch, value), MACHINE)
            if ending:
                break
        bridge.tell(number, ending)
    assert pruning_in_words(bridge.study) == (
        "pruning left out 3 of 12 epochs (25%); of 1 that it would have stopped but for a probe, "
        "the best, trial 2, would have been lost with 0.800"
    )
