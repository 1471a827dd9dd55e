"""What the controller decides over a trial: once, with its reason, and what the sampler learns."""

import pytest

from pipeline.study.events import TrialOutcome
from pipeline.study.ranking import candidates, ranked
from pipeline.study.remarks import violated_constraints
from pipeline.study.result_order import settle
from pipeline.views.leaderboard import best_in_words, pruning_in_words
from pipeline.views.summary import summarize
from tests.support.controllers import controller_at, epoch_result, finish


def test_a_decision_is_made_once_however_the_others_fare_before_the_next_kill(tmp_path):
    controller = controller_at(tmp_path, 6, pruner="halving")
    requests = [controller.ask() for _ in range(5)]
    for request, value in zip(requests, (0.1, 0.2, 0.3, 0.4, 0.5), strict=True):
        assert controller.report(request.number, epoch_result(1, value)) is None
    again = controller_at(tmp_path, 6, pruner="halving")  # now trial 1 would be 4th of 5
    assert [again.ask().number for _ in range(5)] == [0, 1, 2, 3, 4]
    assert all(again.record.trial(n).state == "RUNNING" for n in range(5))


def test_a_stop_that_a_kill_kept_from_being_told_is_told_at_the_next_start(tmp_path):
    controller = controller_at(tmp_path, 6, pruner="halving")
    good, bad = controller.ask(), controller.ask()
    controller.report(good.number, epoch_result(1, 0.4))
    outcome = controller.report(bad.number, epoch_result(1, 0.1))
    again = controller_at(tmp_path, 6, pruner="halving")
    told = again.record.trial(bad.number)
    assert (told.state, told.outcome, told.reason) == ("PRUNED", outcome, outcome.reason)
    assert again.ask().number == good.number


def test_a_worker_that_dies_is_tried_again_three_times_and_memory_once(tmp_path):
    controller = controller_at(tmp_path)
    for reason, allowed in (("its worker process died", 3), ("out of memory", 1)):
        number = controller.ask().number
        for _ in range(allowed):
            assert controller.retry(number, reason) is None
            assert controller.record.trial(number).state == "WAITING"
            assert controller.ask().number == number
        outcome = controller.retry(number, reason)
        assert outcome == TrialOutcome("FAIL", f"{reason} ({allowed + 1} times)")
        controller.tell(number, outcome)
        assert controller.record.trial(number).retries == [reason] * allowed


def test_an_overfitted_epoch_counts_with_the_present_weights_and_breaks_a_constraint(tmp_path):
    controller = controller_at(tmp_path, pruner="collapse+halving")
    controller.ask()
    controller.report(0, epoch_result(1, 0.5, raw_pgd=0.4, co_ratio=0.8))
    fallen = epoch_result(2, 0.48, co_detected=True, raw_fgsm=0.6, raw_pgd=0.03, co_ratio=0.05)
    outcome = controller.report(0, fallen)
    assert outcome.state == "PRUNED"
    assert outcome.reason.startswith("catastrophic overfitting in epoch 2")
    controller.tell(0, outcome)
    trial = controller.record.trial(0)
    assert trial.values == {1: 0.5, 2: 0.03}
    # what the sampler learns, though the average still had 0.48
    assert trial.frozen.value == 0.03
    assert trial.constraints == {"catastrophic_overfitting": pytest.approx(0.2)}
    assert trial.metrics(2).valid_robust == 0.48  # what was measured


def test_one_trial_in_so_many_is_a_control_trial_that_no_rank_stops(tmp_path):
    controller = controller_at(tmp_path, 9, control_every=3, pruner="collapse+halving")
    requests = [controller.ask() for _ in range(6)]
    controller.report(0, epoch_result(1, 0.9))
    stopped = {
        request.number
        for request in requests[1:]
        if controller.report(request.number, epoch_result(1, 0.2 - 0.02 * request.number))
    }
    assert stopped == {1, 3, 4}  # 2 and 5 are control trials
    control = controller.record.trial(2)
    assert control.would_prune == "rank 3 of 3 at epoch 1, the limit is 2"
    fallen = epoch_result(2, 0.1, co_detected=True, raw_fgsm=0.6, raw_pgd=0.0, co_ratio=0.0)
    # catastrophic overfitting stops it all the same
    assert controller.report(2, fallen).state == "PRUNED"


def test_clean_accuracy_below_the_limit_makes_a_complete_trial_no_candidate(tmp_path):
    controller = controller_at(tmp_path, min_clean=0.8)
    study = controller.record
    for clean, robust in ((0.85, 0.4), (0.7, 0.6)):
        finish(controller, controller.ask(), robust, clean=clean)
    assert study.trial(1).constraints == {"clean": pytest.approx(0.1)}
    said = "clean accuracy 0.700 is below 0.8, so it is no candidate"
    assert violated_constraints(study.trial(1)) == [said]
    assert [trial.number for trial in ranked(study)] == [0, 1]
    assert [trial.number for trial in candidates(study)] == [0]
    assert best_in_words(summarize(study)).startswith("Best: trial 0")


def test_what_pruning_cost_is_told_by_its_control_trials(tmp_path):
    controller = controller_at(tmp_path, 9, control_every=3, pruner="halving")
    for late in (0.5, 0.1, 0.8):  # trial 2 is slow at first, and the best at its end
        number = controller.ask().number
        for epoch in range(1, 5):
            value = 0.2 if number == 2 and epoch < 4 else late
            if settle(controller, number, epoch_result(epoch, value)):
                break
    assert pruning_in_words(summarize(controller.record)) == (
        "Pruning left out 3 of 12 epochs (25%).\n"
        "Control: 1 trial that the pruner would have stopped ran on; the best, trial 2, ranked 1st "
        "of 2 (0.800)."
    )


def test_a_control_trial_that_is_pruned_in_the_end_is_no_measure_of_pruning(tmp_path):
    controller = controller_at(tmp_path, 9, control_every=3, pruner="collapse+halving")
    fallen = {"co_detected": True, "raw_fgsm": 0.6, "raw_pgd": 0.0, "co_ratio": 0.0}
    for early in (0.5, 0.1, 0.05):
        number = controller.ask().number
        for epoch in range(1, 5):
            more = fallen if number == 2 and epoch == 2 else {}
            if settle(controller, number, epoch_result(epoch, early, **more)):
                break
    assert controller.record.trial(2).would_prune
    assert pruning_in_words(summarize(controller.record)) == (
        "Pruning left out 5 of 12 epochs (42%).\n"
        "Control: the pruner would have stopped no control trial that is complete."
    )
