"""The end of a search and of its race at every width, from a real study of seven parameters."""

import itertools
import json
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pipeline.problem.problem import SearchProblem
from pipeline.study.events import TrialOutcome
from pipeline.views import answer, evaluation_table, layout, leaderboard, race_table
from pipeline.views.layout import Column, Table, abbreviated
from pipeline.views.summary import Finalist, Gain, RaceSummary, Stopped, summarize
from tests.support.controllers import (
    EPOCHS,
    controller_of,
    epoch_result,
    finish,
    no_masking,
    study_at,
)

WIDTHS = (60, 61, 67, 80, 100, 113, 120, 160, 220)
REASON = "at epoch 3, 1 of 200 new configurations are likelier to beat 0.537 within 12 epochs"
LOST = "its worker process died while the machine had no memory left for another training (3 times)"


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What a study says that has trials of all kinds."""
    problem = SearchProblem.load("regmix", "digits", {"epochs": EPOCHS})
    study = study_at(tmp_path_factory.mktemp("ending"), problem)
    options = {"min_clean": 0.8, "control_every": 3, "pruner": "halving"}
    controller = controller_of(study, problem, 40, **options)
    for number in range(14):
        request, clean = controller.ask(), 0.7 if number == 5 else 0.9
        finish(controller, request, 0.4 + 0.01 * number, clean=clean)
    for number in range(8):
        request = controller.ask()
        controller.report(request.number, epoch_result(1, 0.2))
        if number == 7:
            break  # runs on
        state, reason = ("FAIL", LOST) if number > 4 else ("PRUNED", REASON)
        controller.tell(request.number, TrialOutcome(state, reason))
    return summarize(controller.record, running=True)


def many(summary, count):
    """The same with so many trials more, complete and stopped ones."""
    first = summary.best
    more = [replace(first, trial=100 + n, rank=None, is_default=False) for n in range(count)]
    stopped = [Stopped("by rank", tuple(range(count)), (1, 3)), *summary.stopped]
    counts = {**summary.counts, "COMPLETE": summary.counts["COMPLETE"] + count}
    trials = (*summary.trials[:1], *more, *summary.trials[1:])
    return replace(summary, trials=trials, counts=counts, stopped=stopped)


def alone(summary):
    """The same with one trial."""
    return replace(summary, trials=summary.trials[:1], stopped=(), failed={})


def of_a_front(summary):
    return replace(summary, objective="robust,clean", front=[t.trial for t in summary.trials[:4]])


def raced(summary):
    """The same with a race of five."""
    gain = Gain(0.0873, 0.0338, 0.1412)
    others = [
        Finalist(trial.trial, 2, 0.489, (0.44, 0.537), 0.2, gain, "")
        for trial in summary.trials[:4]
    ]
    gone = "dropped out after seed 2: it is behind the best by more than chance explains"
    last = Finalist(summary.default.trial, 2, 0.4, (0.35, 0.45), 0.0, None, gone)
    return replace(summary, race=RaceSummary("done", [*others, last], last.trial))


KINDS = {
    "all kinds": lambda summary: summary,
    "300 trials": lambda summary: many(summary, 300),
    "one trial": alone,
    "a front": of_a_front,
    "long names": lambda summary: renamed(summary),
}


def renamed(summary):
    """The same with parameters of a user's own, whose values are words."""
    names = [f"a_parameter_of_the_user_{n}" for n in range(9)]
    value = "a/word/that/is/longer/than/any/column"
    trials = [replace(t, params=dict.fromkeys(names, value)) for t in summary.trials]
    best, default = (
        next(t for t in trials if t.trial == one.trial) for one in (summary.best, summary.default)
    )
    return replace(summary, searched=names, trials=trials, best=best, default=default)


def words(lines):
    return re.findall(r"\S+", " ".join(lines))


@pytest.mark.parametrize("kind", KINDS)
def test_the_end_fits_every_width_with_the_verdict_first(found, kind):
    summary = KINDS[kind](found)
    wide = set(words(leaderboard.page(summary, 100_000)))
    for width in WIDTHS:
        page = leaderboard.page(summary, width)
        assert max(map(len, page)) <= width, (width, max(page, key=len))
        assert not [line for line in page if line != line.rstrip()], width
        assert len(page) <= 75, (width, len(page))
        assert page[0].startswith(f"s: running: {summary.counts['COMPLETE']} of ")
        table = next(n for n, line in enumerate(page) if line.startswith("trial "))
        best = next(n for n, line in enumerate(page) if line.startswith("Best: trial "))
        assert best < table
        told = words(page[:table])
        assert set(told) <= wide, "a word is broken"
        assert told == words(leaderboard.page(summary, 100_000))[: len(told)], "a word is lost"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_end_of_a_race_fits_every_width_with_the_answer_first(found, width):
    page = answer.page(raced(found), width)
    assert page[0].startswith(f"Answer: trial {found.best.trial} with alpha ")
    assert max(map(len, page)) <= width and not [line for line in page if line != line.rstrip()]
    assert words(page)[: len(words([answer.answer(raced(found))]))] == words(
        [answer.answer(raced(found))]
    )
    text = " ".join(words(race_table.page(raced(found), width)))
    assert "it is behind the best by more than chance explains" in text
    assert "+0.087 (+0.034 to +0.141)" in text


@pytest.mark.parametrize("width", WIDTHS)
def test_an_evaluation_fits_every_width_with_what_survives_first(width):
    names = ("clean", "FGSM", "and APGD-CE, 100 steps, APGD-T with 9 targets, Square", "worst case")
    judged = {
        "data": "cifar10",
        "part": "test images",
        "epsilon": 8 / 255,
        "eval_steps": 10,
        "rows": {name: {"hits": 9000 - 1000 * n, "count": 10000} for n, name in enumerate(names)},
        "masking": asdict(replace(no_masking(), large_epsilon=0.5)),
    }
    page = evaluation_table.page(Path("exported/wamr-cifar10-confirmed.yaml"), judged, width)
    assert max(map(len, page)) <= width and not [line for line in page if line != line.rstrip()]
    first = " ".join(words(itertools.takewhile(bool, page)))
    assert "robust accuracy 0.6000 (95 % interval 0.5904 to 0.6096), clean 0.9000" in first
    assert "gradient masking? at four times epsilon 0.500 survive" in first
    table = " ".join(words(page[page.index("") :]))
    assert "0.8000 0.7920 to 0.8077 8000 of 10000" in table
    assert not [word for word in " ".join(names).split() if word not in table]


@pytest.mark.parametrize("width", WIDTHS)
def test_what_the_table_leaves_out_is_counted_and_its_place_is_told(found, width):
    page = leaderboard.page(many(found, 300), width)
    text = " ".join(words(page))
    start = next(n for n, line in enumerate(page) if line.startswith("trial "))
    table = list(itertools.takewhile(bool, page[start:]))
    rows = [line for line in table if re.match(r" *\d+ +0\.\d{3}", line)]
    assert len(rows) == 11 and rows[-1].split()[0] == "0", "ten, and the default"
    assert "Stopped as less promising than new ones: 5 (epoch 1)" in text
    assert f"Failed: trials 19, 20: {LOST}" in text
    assert "Running: trial 21 (epoch 1/4)" in text
    assert "the report, MLflow's leaderboard.txt and --json have all of them" in text
    heads = table[0].split()
    left = re.search(r"\((\d) parameters? ha", text)
    short = dict(zip(abbreviated(found.searched), found.searched, strict=True))
    named = [name for name, whole in short.items() if name in heads or whole in heads]
    assert len(named) + (int(left[1]) if left else 0) == len(found.searched) == 7


def test_parameters_are_shortened_before_remarks_and_left_out_last():
    said = "a remark that is longer than thirty columns, so that it has lines of its own"
    table = Table(
        [Column("trial", ["1"])],
        {"learning_rate": [0.123456], "mass_of_true_class": [0.5]},
        [said],
    )
    assert table.lines(75)[0].split() == ["trial", "learning_rate", "mass_of_true_class", "why"]
    beside = table.lines(50)
    assert beside[0].split() == ["trial", "lr", "motc", "why"] and "0.12 " in beside[1]
    beneath = table.lines(40)
    assert beneath[0].split() == ["trial", "learning_rate", "mass_of_true_class"]
    assert beneath[2].startswith("       a remark that is")
    assert table.lines(17)[:2] == ["trial    lr  motc", "    1  0.12   0.5"]
    assert table.lines(15)[0] == "trial   lr motc"
    few = table.lines(12)
    assert few[0].split() == ["trial", "lr"] and "mass_of_true_class;" in words(few)


def test_short_names_that_would_be_alike_stay_long():
    assert abbreviated(["weight_decay", "weight_drop", "gamma", "learning_rate"]) == [
        "weight_decay", "weight_drop", "gamma", "lr"
    ]  # fmt: skip


def test_a_reason_keeps_its_words_whatever_they_hold():
    text = "an error [/] in [bold]x[/bold] :smile: non-breaking-hyphens 95 % of it"
    for width in range(22, 80):
        lines = layout.lines(text, width)
        assert words(lines) == text.split() and not [x for x in lines if x.endswith("95")]


@pytest.mark.parametrize(("encoding", "sign"), [("utf-8", "±"), ("latin-1", "±"), ("ascii", "+-")])
def test_a_terminal_that_knows_few_letters_gets_no_others(
    found, monkeypatch, capsys, encoding, sign
):
    class Output:
        def __init__(self, stream):
            self.stream, self.encoding = stream, encoding

        def __getattr__(self, name):
            return getattr(self.stream, name)

    monkeypatch.setattr(sys, "stdout", Output(sys.stdout))
    with_gains = replace(
        found, trials=[replace(t, over_default=Gain(0.1, 0.05, 0.15)) for t in found.trials]
    )
    leaderboard.show(with_gains, ["next"])
    printed = capsys.readouterr().out
    assert f"+0.100 {sign}0.050" in printed
    printed.encode(encoding)


def test_elsewhere_than_in_a_terminal_a_page_has_100_columns_or_what_is_asked(monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    assert layout.page_width() == 100
    monkeypatch.setenv("COLUMNS", "72")
    assert layout.page_width() == 72
    monkeypatch.setenv("COLUMNS", "20")
    assert layout.page_width() == 60


def test_the_whole_leaderboard_has_every_trial_and_its_state(found):
    lines = leaderboard.everything(found).splitlines()
    rows = [line.split() for line in lines if re.match(r" *\d+  [A-Z]+", line)]
    assert [int(row[0]) for row in rows] == [trial.trial for trial in found.trials]
    assert {row[1] for row in rows} == {"COMPLETE", "PRUNED", "FAIL", "RUNNING"}


def test_the_document_has_what_the_end_says(found):
    document = json.loads(json.dumps(found.document(), allow_nan=False))
    assert document["stopped"] == [
        {"why": "as less promising than new ones", "trials": [14, 15, 16, 17, 18], "epochs": [1, 1]}
    ]
    assert document["failed"] == {LOST: [19, 20]}
    assert document["trials"][0]["judged"] == 1000 and document["luck"] is None
