"""What is said of what takes long, by a clock that stands where the test puts it."""

import io

import pytest

from pipeline import search
from pipeline.base import narration
from pipeline.base.narration import Waited, Waiting
from pipeline.driver.course import RACES, SEARCHES, Course
from pipeline.driver.evaluation import left_in_words
from pipeline.driver.plan import effort, first_epoch, race_in_words, say_plan
from pipeline.driver.study import _say_begin
from pipeline.race.share import FINALIST, as_finalists
from pipeline.study.budget import Pace
from pipeline.study.copied_study import CopiedStudy
from pipeline.study.result_order import settle
from regmix.progress import Phase
from tests.support.controllers import controller_at, epoch_result, finish, problem_of


def said(waited, until, step=0.5):
    """Return when lines come, and the lines, where someone asks every half second."""
    found = {}
    for count in range(int(until / step) + 1):
        line = waited.line(count * step)
        if line is not None:
            found[count * step] = line
    return found


def test_what_is_done_at_once_is_not_told():
    assert said(Waited("reading", 0.0), 2.9) == {}


def test_lines_come_every_four_seconds_and_after_a_minute_each_minute():
    times = list(said(Waited("reading", 0.0), 200.0))
    assert times[:3] == [3.0, 7.0, 11.0]
    assert [later - sooner for sooner, later in zip(times[-3:], times[-2:], strict=False)] == [
        60.0,
        60.0,
    ]


def test_a_line_says_how_far_it_is():
    waited = Waited("reading the train part", 0.0)
    assert waited.line(3.0) == "reading the train part ..., 3 s"
    waited.phase = Phase("images", 12_000, 50_000, share=0.24)
    assert waited.line(8.0) == "reading the train part: images 12,000/50,000, 24 %, 8 s"
    waited.phase = Phase("attacking", 2, 4, "AutoAttack's APGD-T")
    assert waited.line(13.0) == (
        "reading the train part: attacking 2 of 4: AutoAttack's APGD-T, 13 s"
    )


def test_in_a_terminal_a_line_is_written_over():
    assert len(said(Waited("reading", 0.0, redrawn=True), 10.0)) == 15


def test_what_is_said_in_between_is_a_line_and_quiet_leaves_it_out():
    stream = io.StringIO()
    with Waiting("evaluating", stream) as progress:
        progress(Phase("attacking", 1, 5, "FGSM"))
        progress.say("clean: 0.9000")
    assert stream.getvalue() == "clean: 0.9000\n"
    with narration.quiet(True), Waiting("evaluating", stream) as progress:
        progress.say("FGSM: 0.5000")
        narration.tell("never printed")
    assert stream.getvalue() == "clean: 0.9000\n"


def test_quiet_ends_with_its_command(capsys):
    with narration.quiet(True):
        narration.tell("no")
    narration.tell("yes")
    assert capsys.readouterr().out == "yes\n"


def test_the_first_epoch_is_forecast_by_those_of_earlier_sessions():
    assert first_epoch(Pace(4, 120.0)) == "first epoch in about 0:40"
    assert first_epoch(Pace()) == "first epoch in about 0:10, more where an epoch takes long"


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"budget": 45.0}, "at most 0:45, then 0:15 for the race of the best"),
        (
            {"trainings": 24, "race": 8},
            "24 trainings of 12 epochs, then 8 trainings for the race of the best",
        ),
        (
            {"trainings": 24, "race": 8, "budget": 45.0},
            "24 trainings of 12 epochs and at most 0:45, then 8 trainings and 0:15 for the race "
            "of the best",
        ),
        ({"trainings": 3, "race": 0}, "3 trainings of 12 epochs"),
        ({"trials": 9}, "at most 9 trials of 12 epochs or fewer, then a race of the best"),
    ],
)
def test_the_plan_says_what_is_kept_for_the_race(limits, said):
    assert effort(limits, 12, race=True) == said
    assert effort(limits, 12, race=False) == said.partition(", then")[0]


def request_of(runs, *typed):
    """The checked options of a search."""
    given = ("--recipe", "digits", "--runs", str(runs), "--out", str(runs), *typed)
    return search.read(search.parser().parse_args(given))


def test_the_plan_names_the_data_that_is_used_and_what_is_taken_of_earlier_studies(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    copies = [
        CopiedStudy("old", 4, ["alpha"], [], [(12, [1.0]), (3, [2.0])]),
        CopiedStudy("one", 4, ["alpha"], [], [(7, [1.0])]),
        CopiedStudy("none", 4, ["alpha"], [], []),
    ]
    say_plan(request_of(tmp_path), {"trainings": 8}, tmp_path, Pace(), copies)
    question, _, first, second, *_ = capsys.readouterr().out.splitlines()
    assert question.endswith("give the best robust accuracy on digits?")
    assert [first, second] == ["begins with old trials 12, 3", "begins with one trial 7"]
    other = ("--recipe", "cifar10", "--data-dir", str(tmp_path), "--set", "data=cifar100")
    say_plan(request_of(tmp_path, *other), {"trainings": 8}, tmp_path, Pace())
    question = capsys.readouterr().out.splitlines()[0]
    assert question.endswith("give the best robust accuracy on cifar100 (recipe cifar10)?")


@pytest.mark.parametrize(
    ("second", "typed", "told"),
    [
        ("{choice: [1, 2, 3]}", (), True),
        ("{choice: [1, 2, 3]}", ("--sampler", "grid"), False),
        ("{choice: [1, 2, 3]}", ("--trainings", "6"), False),
        ("{int: [1, 9]}", (), False),  # of which a grid has some
        ("{float: [1, 9]}", (), False),
    ],
)
def test_a_space_of_few_configurations_is_said_to_be_one(tmp_path, capsys, second, typed, told):
    space = tmp_path / "few.yaml"
    space.write_text(
        f"loss: regmix\nsearch:\n  gradient_flow: {{choice: [both, target]}}\n  alpha: {second}\n"
    )
    request = request_of(tmp_path, "--space", str(space), *typed)
    limits = {"trainings": request.trainings or 24}
    say_plan(request, limits, tmp_path, Pace())
    said = "the space has 6 configurations" in capsys.readouterr().out
    assert said == told


def test_what_goes_on_is_counted_and_none_is_not_told(tmp_path, capsys):
    request, said = request_of(tmp_path), []
    controller = controller_at(tmp_path, trials=3)
    for _ in range(2):
        going = controller.ask()
        controller.report(going.number, epoch_result(1, 0.5))
        _say_begin(request, controller.record)
        said.append(capsys.readouterr().out)
        for epoch in range(2, 5):
            settle(controller, going.number, epoch_result(epoch, 0.5))
        _say_begin(request, controller.record)
        said.append(capsys.readouterr().out)
    assert said == [
        "continuing s: 1 goes on\n",
        "continuing s: 1 trial has ended\n",
        "continuing s: 1 trial has ended, 1 goes on\n",
        "continuing s: 2 trials have ended\n",
    ]


def test_the_judging_of_finalists_is_longer_and_their_training_is_not():
    known, task = Pace(9, 9.0, 3, 9.0), problem_of(valid_images=100, finalist_images=500).config({})
    few, many = (as_finalists(known, task, racing) for racing in (3, 4))
    assert few.needed(4) == 3 * 1.0 + 1.0 + FINALIST * 5 * 2.0  # by all images
    assert many.needed(4) == 3 * 1.0 + 1.0 + FINALIST * 4 * 2.0  # first by some


def test_a_race_is_forecast_from_what_the_search_stored(tmp_path):
    controller = controller_at(tmp_path, trials=2)
    for robust in (0.5, 0.6):
        finish(controller, controller.ask(), robust, seconds=15.0)
    both = controller.record.trials()
    assert race_in_words(both, 3, at_once=2) == (
        "at most 6 trainings of 2 finalists, the recipe's default among them, with 3 seeds each, "
        "about 3:00"
    )
    assert race_in_words(both, 3, 4, at_once=2).startswith("at most 2 trainings")
    assert race_in_words(both, 1000, at_once=2, most=8) == (
        "at most 8 trainings of 2 finalists, the recipe's default among them, about 4:00"
    )
    assert race_in_words(both, 1000, at_once=2, seconds=30.0) == (
        "2 finalists, the recipe's default among them, with as many seeds as fit, about 0:30"
    )


def test_a_comparison_says_its_steps_and_what_is_left_as_far_as_it_knows():
    now = [0.0]
    course = Course(2, (SEARCHES, RACES), lambda: now[0])
    assert course.plan() == "comparison of 2 methods: 2 searches, then 2 races, one after another"
    said = []
    for kind, seconds in ((SEARCHES, 60.0), (SEARCHES, 90.0), (RACES, 20.0), (RACES, 20.0)):
        with course.step(kind, "x") as title:
            said.append(title)
            now[0] += seconds
    assert said == [
        "1 of 4: x",
        "2 of 4: x; about 1:00 left without the races",
        "3 of 4: x",
        "4 of 4: x; about 0:20 left",
    ]


def test_an_evaluation_is_forecast_by_its_first_long_attack():
    assert left_in_words(10.0, with_autoattack=False) == "about 1:30 left"
    assert "for AutoAttack" in left_in_words(10.0, with_autoattack=True)
