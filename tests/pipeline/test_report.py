"""What is seen while a search runs and at its end, from a real study."""

import io

import pytest
from rich.console import Console

from pipeline.driver.session import _budget_in_words
from pipeline.study.budget import TimeBudget
from pipeline.study.events import EpochResult, TrialOutcome
from pipeline.study.ranking import pruned_epochs
from pipeline.views import leaderboard
from pipeline.views.formatting import duration
from pipeline.views.live import LiveView
from pipeline.views.summary import summarize
from tests.support.controllers import (
    MACHINE,
    VERSIONS,
    controller_at,
    epoch_result,
    finish,
    metrics,
)


def live_view(controller, console):
    names, total = tuple(controller.problem.space.ranges), controller.queue.total
    return LiveView(controller.record, names, total, controller.budget, console)


def show_changes(controller, view):
    for trial in controller.drain_changes():
        view.trial_changed(trial)


def test_without_a_terminal_each_ended_trial_is_a_line(tmp_path, capsys):
    controller = controller_at(tmp_path, trials=3)
    with live_view(controller, Console(file=io.StringIO())) as view:
        finish(controller, controller.ask(), 0.5)
        show_changes(controller, view)
        request = controller.ask()
        controller.report(request.number, epoch_result(1, 0.2))
        show_changes(controller, view)
        controller.tell(request.number, TrialOutcome("PRUNED", "rank 2 of 2 at epoch 1"))
        show_changes(controller, view)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("trial   0 COMPLETE epoch  4 final_robust 0.500  1 of 3 trials ended")
    assert second.startswith("trial   1 PRUNED   epoch  1 robust 0.200  2 of 3 trials ended")
    assert "best 0.500 (trial 0)" in second and second.endswith("(rank 2 of 2 at epoch 1)")
    assert "left" in second


@pytest.mark.parametrize("reported", [0, 1])
def test_a_trial_that_goes_on_behind_the_view_is_shown_as_it_was(tmp_path, reported):
    """Optuna adds an epoch to a dict that an older trial shares, beside attributes that are not."""
    controller = controller_at(tmp_path, trials=3)
    request = controller.ask()
    for epoch in range(1, 1 + reported):
        controller.report(request.number, epoch_result(epoch, 0.25))
    with live_view(controller, Console(file=io.StringIO())) as view:
        for epoch in range(1 + reported, 4):
            controller.report(request.number, epoch_result(epoch, 0.5))
            view.table()
        held = view._search.going[request.number]
        assert sorted(held.values) == sorted(held.epochs) == list(range(1, 1 + reported))


def test_a_reason_with_brackets_or_colons_is_printed_as_it_is(tmp_path):
    controller = controller_at(tmp_path, trials=1)
    request = controller.ask()
    reason = "an error [/] in [bold]x[/bold] :smile: [Errno 5]"
    controller.tell(request.number, TrialOutcome("FAIL", reason))
    found = summarize(controller.record)
    assert reason in leaderboard.everything(found)
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdout", said)
        leaderboard.show(found, ["x '[a]'"])
    assert reason in said.getvalue() and "x '[a]'" in said.getvalue()


def test_in_a_terminal_running_trials_are_a_table(tmp_path):
    controller = controller_at(tmp_path, trials=3)
    screen = Console(file=io.StringIO(), force_terminal=True, width=120)
    with live_view(controller, screen) as view:
        finish(controller, controller.ask(), 0.5)
        controller.report(controller.ask().number, epoch_result(2, 0.25))
        show_changes(controller, view)
        said = io.StringIO()
        plain = Console(file=said, width=120)
        plain.print(view.table())
    head, best, _, columns, row, *_ = said.getvalue().strip().splitlines()
    assert "1 of 3 trials ended" in head and best.startswith("best 0.500 (trial 0)")
    assert columns.split() == [
        *("trial", "phase", "left", "robust", "clean", "speed"),
        *("alpha", "beta", "epsilon_ratio"),
    ]
    assert row.split()[:6] == ["1", "epoch", "2/4", "0:02", "0.250", "0.900"]


def test_what_ended_in_earlier_sessions_is_counted_from_the_start(tmp_path, capsys):
    finish(earlier := controller_at(tmp_path, trials=3), earlier.ask(), 0.7)
    controller = controller_at(tmp_path, trials=3)
    with live_view(controller, Console(file=io.StringIO())) as view:
        finish(controller, controller.ask(), 0.5)
        show_changes(controller, view)
    (line,) = capsys.readouterr().out.splitlines()
    assert "2 of 3 trials ended, best 0.700 (trial 0)" in line


def test_the_best_is_told_with_its_interval_beside_the_default(tmp_path):
    controller = controller_at(tmp_path, trials=2)
    finish(controller, controller.ask(), 0.5)
    finish(controller, controller.ask(), 0.6)
    words = leaderboard.best_in_words(summarize(controller.record))
    assert words.startswith("Best: trial 1 with alpha")
    assert "0.600 under APGD on 1000 validation images (95 % interval 0.569 to 0.630)" in words
    assert "The recipe's default, trial 0, has 0.500: a gain of +0.100." in words


def test_that_the_default_is_the_best_is_told(tmp_path):
    controller = controller_at(tmp_path, trials=2)
    finish(controller, controller.ask(), 0.5)
    finish(controller, controller.ask(), 0.4)
    words = leaderboard.best_in_words(summarize(controller.record))
    assert "\n  It is the recipe's default: the search found nothing better.\n" in words


def test_that_there_is_no_best_is_told(tmp_path):
    controller = controller_at(tmp_path, trials=2, min_clean=0.95)
    assert leaderboard.best_in_words(summarize(controller.record)).startswith(
        "No trial is complete"
    )
    finish(controller, controller.ask(), 0.5)
    assert leaderboard.best_in_words(summarize(controller.record)) == (
        "Every complete trial violates a constraint, see the remarks below."
    )


def test_trials_that_were_computed_with_other_versions_or_code_are_told(tmp_path):
    controller = controller_at(tmp_path)
    finish(controller, controller.ask(), 0.5)
    assert leaderboard.changes_in_words(summarize(controller.record)) == ""
    number, newer = controller.ask().number, {**VERSIONS, "code": "f0", "optuna": "99"}
    controller.report(number, EpochResult(metrics(1, 0.2), {**MACHINE, "threads": 8}, newer))
    assert leaderboard.changes_in_words(summarize(controller.record)).startswith(
        f"The trials were not all computed alike: threads (1, 8); code ({VERSIONS['code']}, f0)."
    )


def test_saved_epochs_are_counted_from_what_pruning_left_out(tmp_path):
    controller = controller_at(tmp_path, trials=2)
    finish(controller, controller.ask())
    request = controller.ask()
    controller.report(request.number, epoch_result(1, 0.2))
    controller.tell(request.number, TrialOutcome("PRUNED", "why"))
    assert pruned_epochs(controller.record) == (3, 8)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (725, "12:05"), (10930, "3:02:10")]
)
def test_durations_read_as_a_clock(seconds, text):
    assert duration(seconds) == text


def test_a_rest_of_the_budget_that_is_too_short_for_a_trial_is_said(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    controller = controller_at(tmp_path, budget=TimeBudget(budget=100.0, begun=0.0))
    finish(controller, controller.ask(), seconds=15.0)
    now[0] = 20.0
    assert _budget_in_words(controller) == "\nbudget: 0:20 of 1:40 spent"
    now[0] = 60.0
    assert _budget_in_words(controller) == (
        "\nbudget: 1:00 of 1:40 spent; 0:40 left, too short for another trial, which takes about "
        "1:00"
    )
    now[0] = 102.0
    assert _budget_in_words(controller) == "\nbudget: 1:42 of 1:40 spent"
