"""What is seen while a search runs, from a real study."""

import io

import pytest
from rich.console import Console

from pipeline.report import leaderboard
from pipeline.report.live import Progress, duration
from pipeline.study.controller import TrialOutcome
from tests.support.controllers import MACHINE, bridge_at, finish, metrics


def test_without_a_terminal_each_ended_trial_is_a_line(tmp_path, capsys):
    bridge = bridge_at(tmp_path, trials=3)
    with Progress(bridge, Console(file=io.StringIO())) as progress:
        bridge.changed = progress.changed
        finish(bridge, bridge.ask(), 0.5)
        request = bridge.ask()
        bridge.report(request.number, metrics(1, 0.2), MACHINE)
        bridge.tell(request.number, TrialOutcome("PRUNED", "rank 2 of 2 at epoch 1"))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("trial   0 COMPLETE epoch  4 judged 0.500  1 of 3 trials ended")
    assert "best 0.500 (trial 0)" in second and second.endswith("(rank 2 of 2 at epoch 1)")
    assert "left" in second


def test_in_a_terminal_running_trials_are_a_table(tmp_path):
    bridge = bridge_at(tmp_path, trials=3)
    screen = Console(file=io.StringIO(), force_terminal=True, width=120)
    with Progress(bridge, screen) as progress:
        bridge.changed = progress.changed
        finish(bridge, bridge.ask(), 0.5)
        bridge.report(bridge.ask().number, metrics(2, 0.25), MACHINE)
        plain = Console(file=io.StringIO(), width=120)
        plain.print(progress.table())
    head, columns, row = plain.file.getvalue().strip().splitlines()
    assert "1 of 3 trials ended, best 0.500 (trial 0)" in head
    assert columns.split() == [
        "trial",
        "epoch",
        "robust",
        "clean",
        "alpha",
        "beta",
        "epsilon_ratio",
    ]
    assert row.split()[:4] == ["1", "2/4", "0.250", "0.900"]


def test_the_best_is_told_with_its_interval_beside_the_default(tmp_path):
    bridge = bridge_at(tmp_path, trials=2)
    finish(bridge, bridge.ask(), 0.5)
    finish(bridge, bridge.ask(), 0.6)
    words = leaderboard.best_in_words(bridge.study, ("alpha",))
    assert "best: trial 1 with alpha" in words
    assert "0.600 under APGD on 1000 validation images (95 % interval 0.569 to 0.630)" in words
    assert "the recipe's default (trial 0) has 0.500: a gain of +0.100" in words


def test_saved_epochs_are_counted_from_what_pruning_left_out(tmp_path):
    bridge = bridge_at(tmp_path, trials=2)
    finish(bridge, bridge.ask())
    request = bridge.ask()
    bridge.report(request.number, metrics(1, 0.2), MACHINE)
    bridge.tell(request.number, TrialOutcome("PRUNED", "why"))
    assert leaderboard.saved(bridge.study) == (3, 8)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (725, "12:05"), (10930, "3:02:10")]
)
def test_durations_read_as_a_clock(seconds, text):
    assert duration(seconds) == text
