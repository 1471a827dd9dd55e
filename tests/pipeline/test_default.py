"""Trial 0 is the recipe's default, or is called the nearest to it wherever it is named."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.problem.problem import SearchProblem
from pipeline.race.result import RaceResult
from pipeline.race.statistics import standings
from pipeline.study.ranking import ranked
from pipeline.views import leaderboard, race_table
from pipeline.views.summary import RaceSummary, _finalist, summarize
from tests.support.controllers import EPOCHS, controller_of, finish, study_at

CASES = {
    "below": ("alpha: {float: [6, 9]}", {"alpha": 6.0}, "alpha 5 -> 6"),
    "above": ("alpha: {float: [0.1, 0.5]}", {"alpha": 0.5}, "alpha 5 -> 0.5"),
    "none": ("clip_norm: {float: [0.5, 5]}", {"clip_norm": 5.0}, "clip_norm none -> 5"),
    "no choice": ("batch_size: {choice: [64, 100]}", {"batch_size": 64}, "batch_size 32 -> 64"),
    "no word": ("schedule: {choice: [constant, linear]}", {"schedule": "constant"},
                "schedule cosine -> constant"),
    "whole": ("weight_decay: {int: [0, 3]}", {"weight_decay": 0}, "weight_decay 0.0005 -> 0"),
    "two": ("alpha: {float: [6, 9]}\n  beta: {float: [0.1, 1]}\n  lr: {float: [1, 2]}",
            {"alpha": 6.0, "beta": 1.0, "lr": 1.0}, "alpha 5 -> 6, lr 0.2 -> 1"),
}  # fmt: skip


def searched(tmp_path, ranges):
    """A study of two complete trials, the second one better."""
    space = tmp_path / "mine.yaml"
    space.write_text(f"search:\n  {ranges}\n")
    problem = SearchProblem.load(str(space), "digits", {"epochs": EPOCHS})
    controller = controller_of(study_at(tmp_path, problem), problem, 2)
    for robust in (0.4, 0.5):
        finish(controller, controller.ask(), robust)
    return controller.record


def told(record):
    """Everything that is printed of it at the end of a search and of a race."""
    found = summarize(record)
    runs = {0: {1: np.array([True, False] * 9)}, 1: {1: np.array([True, True] * 9)}}
    known = standings(runs, 0)
    finalists = [_finalist(RaceResult(known, [1, 0], 0, {}), number, 0.9) for number in (1, 0)]
    won = replace(found, race=RaceSummary("done", finalists, 0))
    lost = replace(found, race=RaceSummary("done", finalists[::-1], 0))
    return "\n".join(
        (
            *leaderboard.page(found, 300),
            *race_table.page(won, 300),
            race_table.verdict(won),
            race_table.verdict(lost),
        )
    )


@pytest.mark.parametrize(("ranges", "params", "moved"), CASES.values(), ids=CASES)
def test_a_default_outside_of_the_space_is_called_the_nearest_to_it(
    tmp_path, ranges, params, moved
):
    record = searched(tmp_path, ranges)
    default = record.trial(0)
    assert default.params == params and default.is_default
    assert default.origin == f"nearest to the default: {moved}"
    text = told(record)
    assert text.count(f"the nearest to the recipe's default ({moved})") >= 3
    assert f"The nearest to the recipe's default ({moved}), trial 0, has 0.4" in text
    assert "over trial 0" in text and "the default" not in text
    assert "the recipe's default" not in text.replace("nearest to the recipe's default", "")


def test_a_default_inside_of_the_space_is_the_default(tmp_path):
    record = searched(tmp_path, "alpha: {float: [0.1, 5]}\n  clip_norm: {choice: [null, 1]}")
    default = record.trial(0)
    assert default.origin == "default" and not default.moved
    assert default.params == {"alpha": 5.0, "clip_norm": None}
    text = told(record)
    assert "The recipe's default, trial 0, has 0.4" in text and "over the default" in text
    assert "nearest" not in text


def test_more_than_three_that_were_moved_are_counted(tmp_path):
    names = ("alpha", "beta", "gamma", "lr", "epsilon_ratio")
    record = searched(tmp_path, "\n  ".join(f"{name}: {{float: [3, 4]}}" for name in names))
    assert record.trial(0).origin.endswith("gamma 1 -> 3, 2 more")
    assert {trial.number for trial in ranked(record) if trial.is_default} == {0}
