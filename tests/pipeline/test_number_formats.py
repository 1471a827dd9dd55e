"""bf16 on a CPU is warned of once, before the first trial begins."""

import contextlib

import pytest

from pipeline.driver import request, session
from pipeline.problem.problem import SearchProblem
from tests.support.processes import call
from tests.support.studies import search_arguments


@pytest.fixture(autouse=True)
def no_card(monkeypatch):
    monkeypatch.setattr(request, "has_driver_of_a_card", lambda: False)


def begun(runs, monkeypatch, *more):
    """What a search says on standard error until its first trial would begin."""
    monkeypatch.setattr(session, "started", lambda plan: contextlib.nullcontext())
    monkeypatch.setattr(session, "run", lambda *_: 0)
    said = call("search", *search_arguments(runs, *more))
    assert said.code == 0
    return said.err.splitlines()


@pytest.mark.process(seconds=30)  # the rehearsal's
def test_a_search_in_bf16_without_a_gpu_is_warned_of(tmp_path, monkeypatch):
    (line,) = begun(tmp_path / "a", monkeypatch, "--set", "precision=bf16")
    assert line.startswith("warning: precision bf16 without a GPU: ")
    assert begun(tmp_path / "b", monkeypatch, "--set", "precision=tf32") == []
    with_card = ("--gpus-per-trial", "auto", "--set", "precision=bf16")
    assert begun(tmp_path / "c", monkeypatch, *with_card) == []


def test_a_share_of_a_gpu_is_refused_before_the_plan_where_there_is_none(tmp_path, monkeypatch):
    typed = search_arguments(tmp_path, "--gpus-per-trial", "0.5")
    refused = call("search", *typed)
    assert "--gpus-per-trial 0.5: no GPU here; leave out --gpus-per-trial" in refused.one_line
    assert refused.out == ""
    race = call("confirm", "--study", "x", "--runs", tmp_path, "--gpus-per-trial", "1")
    assert "no GPU here" in race.one_line
    request.prove_card("auto", None)
    request.prove_card(0.5, "127.0.0.1:1")
    monkeypatch.setattr(request, "has_driver_of_a_card", lambda: True)
    request.prove_card(0.5, None)


@pytest.mark.parametrize(
    ("asked", "elsewhere", "card", "warned"),
    [
        (True, False, False, 1),
        (False, False, False, 0),
        (True, True, False, 0),
        (True, False, True, 0),
    ],
)
def test_only_bf16_on_a_cpu_is_warned_of(capsys, monkeypatch, asked, elsewhere, card, warned):
    monkeypatch.setattr(request, "has_driver_of_a_card", lambda: card)
    request.warn_of_bf16(asked, elsewhere=elsewhere)
    said = capsys.readouterr().err
    assert said.count("\n") == warned
    assert len(said) <= 286


def test_a_problem_knows_what_a_trial_may_be(tmp_path):
    space = tmp_path / "some.yaml"
    space.write_text("loss: plain\nsearch: {precision: {choice: [fp32, bf16]}}\n")
    chosen = SearchProblem.load(str(space), "digits", {})
    assert chosen.may_be("precision", "bf16")
    assert not chosen.may_be("precision", "tf32")
    assert not SearchProblem.load("wamr", "digits", {}).may_be("precision", "bf16")
