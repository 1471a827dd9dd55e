"""What is seen while a search runs: in a terminal of each width, and in a pipe."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from pipeline.study.budget import Pace, TimeBudget
from pipeline.study.effort import Trainings
from pipeline.study.events import TrialOutcome
from pipeline.study.result_order import settle
from pipeline.views.live import LiveView
from pipeline.views.live_table import Size, lines
from pipeline.views.redrawn import is_redrawn
from pipeline.views.running import RunningSearch
from regmix.evaluation.results import pack
from regmix.progress import Phase
from tests.support.controllers import EPOCHS, controller_at, epoch_result, finish

LONG = "rank 9 of 12 at epoch 3, by the forecast of all curves: 0.412 (0.398 to 0.431) at its end"


class Clock:
    """A clock that a test sets."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def follow(controller, clock, **options):
    """Return what is known of a controller's study, which goes on."""
    total, budget = controller.queue.total, controller.budget
    search = RunningSearch(
        controller.record, total, budget, controller.trainings, clock=clock, **options
    )
    search.begin()
    return search


def catch_up(controller, search):
    for trial in controller.drain_changes():
        search.take(trial)


def begun(controller, epochs, **more):
    """Let the next trial train some epochs; return its number."""
    request = controller.ask()
    for epoch in range(1, 1 + epochs):
        controller.report(request.number, epoch_result(epoch, 0.25, **more))
    return request.number


def complete(controller, hits):
    """Let the next trial run to its end, where the first so many images survive."""
    request = controller.ask()
    for epoch in range(request.resume_epoch + 1, EPOCHS + 1):
        found = epoch_result(epoch, hits / 1000)
        if found.metrics.final is not None:
            bits = pack([number < hits for number in range(1000)])
            final = replace(found.metrics.final, survivors=bits)
            found = replace(found, metrics=replace(found.metrics, final=final))
        settle(controller, request.number, found)


def busy(tmp_path, clock):
    """A search with a best, stopped and failed trials, and four that run."""
    controller = controller_at(tmp_path, trials=12, trainings=Trainings(12, EPOCHS))
    search = follow(controller, clock, at_once=4)
    complete(controller, 500)
    complete(controller, 560)
    for outcome in (TrialOutcome("PRUNED", LONG), TrialOutcome("FAIL", "diverged: loss is nan")):
        controller.tell(begun(controller, 1), outcome)
    numbers = [begun(controller, epochs) for epochs in (3, 2, 1, 0)]
    catch_up(controller, search)
    search.phases = dict(
        zip(
            numbers,
            (
                Phase("judging", 2, 3, "signs of masking"),
                Phase("training", 3, 4, share=0.45),
                Phase("saving"),
            ),
            strict=False,
        )
    )
    return controller, search


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_live_view_fits_a_terminal_of_each_width(tmp_path, clock, width):
    controller, search = busy(tmp_path, clock)
    found = lines(search, tuple(controller.problem.space.ranges), Size(width, 23))
    text = "\n".join(found)
    assert max(map(len, found)) <= width and len(found) <= 23
    assert all(line == line.rstrip() for line in found)
    whole = " ".join(text.split())
    assert "4 of 12 trials ended, 4 of 12 trainings used" in whole
    assert "best 0.560 (trial 1), +0.060 over the default" in whole
    assert "judging 2 of 3: signs of masking" in text
    assert "training 3/4, 45 %" in text and "saving" in text
    assert f"trial 2 stopped at 1/4, 0.250: {LONG}" in whole
    assert "trial 3 failed at 1/4, 0.250: diverged: loss is nan" in whole
    assert ("epsilon_ratio" in text) == (width > 100)


def test_what_does_not_fit_a_few_rows_is_counted(tmp_path, clock):
    _, search = busy(tmp_path, clock)
    found = lines(search, (), Size(80, 9))
    assert len(found) <= 9
    assert "and 3 more that run" in found


def test_a_forecast_is_there_from_the_first_epoch_on(tmp_path, clock):
    controller = controller_at(tmp_path, trials=None, trainings=Trainings(10, EPOCHS))
    search = follow(controller, clock, at_once=2)
    request = controller.ask()
    catch_up(controller, search)
    assert search.seconds_left() is None
    assert search.left_in_words() == "time left known after an epoch"
    controller.report(request.number, epoch_result(1, 0.25, seconds=6.0))
    catch_up(controller, search)
    assert search.seconds_left() == pytest.approx(6.0 * 39 / 2)  # epochs, two at once
    assert search.left_in_words() == "about 1:57 left"


def test_the_number_of_trials_limits_a_forecast_as_their_effort_does(tmp_path, clock):
    controller = controller_at(tmp_path, trials=3)
    search = follow(controller, clock)
    begun(controller, 1, seconds=2.0)
    catch_up(controller, search)
    assert search.seconds_left() == pytest.approx(2.0 * (3 + 2 * EPOCHS))


def test_the_budget_limits_each_forecast(tmp_path, clock, monkeypatch):
    monkeypatch.setattr("time.monotonic", clock)
    budget = TimeBudget(budget=60.0, begun=clock.now)
    controller = controller_at(tmp_path, trials=500, budget=budget)
    search = follow(controller, clock)
    assert search.left_in_words() == "time left known after an epoch, at most 1:00"
    begun(controller, 1, seconds=2.0)
    clock.now += 10
    catch_up(controller, search)
    assert search.seconds_left() == pytest.approx(50.0)


def test_what_a_trial_still_takes_shrinks_as_time_passes(tmp_path, clock):
    controller = controller_at(tmp_path)
    search = follow(controller, clock)
    number = begun(controller, 1, seconds=5.0)
    catch_up(controller, search)
    trial = controller.record.trial(number)
    assert search.trial_left(trial) == pytest.approx(15.0)
    clock.now += 4
    assert search.trial_left(trial) == pytest.approx(11.0)
    clock.now += 400
    assert search.trial_left(trial) == 0.0


def test_an_expected_pace_holds_until_a_trial_is_complete(tmp_path, clock):
    controller = controller_at(tmp_path, trials=2)
    search = follow(controller, clock, expected=Pace(3, 3.0, 1, 17.0))
    trial = controller.record.trial(begun(controller, 1, seconds=1.0))
    catch_up(controller, search)
    assert search.trial_left(trial) == pytest.approx(2.0 + 17.0)


@pytest.mark.parametrize(("seconds", "epochs", "said"), [(30.0, 1, True), (20.0, 1, False)])
def test_a_budget_too_short_for_one_trial_is_told_after_the_first_epoch_once(
    tmp_path, clock, monkeypatch, capsys, seconds, epochs, said
):
    monkeypatch.setattr("time.monotonic", clock)
    budget = TimeBudget(budget=60.0, begun=clock.now)
    controller = controller_at(tmp_path, budget=budget)
    view = LiveView(controller.record, (), 4, budget, Console(file=io.StringIO()), clock=clock)
    with view:
        request = controller.ask()
        for epoch in range(1, 1 + epochs):
            clock.now += seconds
            controller.report(request.number, epoch_result(epoch, 0.25, seconds=seconds))
            for _ in range(2):
                view.trial_changed(controller.record.trial(request.number))
    words = "a budget of 1:00 can't complete a trial (about 2:00); raise --budget"
    assert capsys.readouterr().out.count(words) == said


def test_in_a_pipe_a_heartbeat_comes_with_the_first_epoch_and_then_each_minute(
    tmp_path, clock, capsys
):
    controller = controller_at(tmp_path, trials=3)
    view = LiveView(
        controller.record, (), 3, controller.budget, Console(file=io.StringIO()), clock=clock
    )
    with view:
        number = begun(controller, 1)
        for trial in controller.drain_changes():
            view.trial_changed(trial)
        first = capsys.readouterr().out
        for _ in range(65):
            clock.now += 2.0
            view.phases_changed({number: Phase("training", 2, 4, share=0.5)})
    assert first.count("\n") == 1 and "trial 0 epoch 1/4" in first and "about" in first
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2
    assert all("trial 0 training 2/4, 50 %; 0 of 3 trials ended" in line for line in said)
    assert all(line == line.strip() for line in said)


def test_in_a_pipe_nothing_is_silent_while_workers_begin(tmp_path, clock, capsys):
    controller = controller_at(tmp_path, trials=3)
    view = LiveView(
        controller.record, (), 3, controller.budget, Console(file=io.StringIO()), clock=clock
    )
    with view:
        controller.ask()
        for trial in controller.drain_changes():
            view.trial_changed(trial)
        for _ in range(95):  # 190 s without an epoch
            clock.now += 2.0
            view.phases_changed({})
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 14 + 2  # at 4, 8, ... 56 s; then each minute
    assert all("trial 0 begins; 0 of 3 trials ended" in line for line in said)


def test_quiet_says_nothing_on_the_way(tmp_path, clock, capsys):
    controller = controller_at(tmp_path, trials=1)
    view = LiveView(
        controller.record, (), 1, controller.budget, Console(file=io.StringIO()), quiet=True
    )
    with view:
        finish(controller, controller.ask())
        for trial in controller.drain_changes():
            view.trial_changed(trial)
        view.places_changed(0)
    assert capsys.readouterr().out == ""


def test_a_gain_that_chance_may_have_made_is_told_as_such(tmp_path, clock):
    controller = controller_at(tmp_path, trials=3)
    search = follow(controller, clock)
    complete(controller, 500)
    catch_up(controller, search)
    assert search.best_in_words() == "best 0.500 (trial 0), the recipe's default"
    complete(controller, 502)
    catch_up(controller, search)
    assert search.best_in_words() == (
        "best 0.502 (trial 1), +0.002 over the default (-0.002 to +0.006), perhaps by chance"
    )


def test_a_notebook_is_given_lines(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    console = Console(file=Terminal(), force_terminal=True)
    monkeypatch.setenv("TERM", "xterm")
    assert is_redrawn(console)
    monkeypatch.setenv("JPY_PARENT_PID", "7")
    assert not is_redrawn(console)
