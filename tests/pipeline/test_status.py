"""`status.py`: what it lists and shows, at any width, beside a driver that runs."""

import json
import os
import signal

import pytest

from pipeline.study.result_order import settle
from pipeline.study.storage import exclusive, holder
from pipeline.study.studies import Studies
from pipeline.views import study_list
from tests.support.controllers import controller_at, epoch_result, finish
from tests.support.processes import call, line_of, start

WIDTHS = (60, 80, 100, 160)


@pytest.fixture
def runs(tmp_path):
    """A folder of studies: `s` is done, with trials 1 and 0."""
    place = tmp_path / "studies" / "s"
    place.mkdir(parents=True)
    controller = controller_at(place, trials=2)
    for robust in (0.4, 0.5):
        finish(controller, controller.ask(), robust)
    return tmp_path


def begun(runs):
    """A second study with a trial that runs, in its second epoch; its controller."""
    place = runs / "studies" / "s"
    controller = controller_at(place, trials=3)
    request = controller.ask()
    controller.report(request.number, epoch_result(1, 0.45))
    return controller


def entry(runs, name="s"):
    (found,) = (one for one in study_list.entries(Studies(runs)) if one.name == name)
    return found


def test_the_list_says_what_each_study_asks_and_how_far_it_is(runs):
    found = entry(runs)
    assert (found.state, found.best) == ("done", (0.5, None)), "nobody knows which images survive"
    assert found.question == "wamr on digits: alpha, beta, epsilon_ratio"
    assert found.size == (runs / "studies" / "s" / "journal.log").stat().st_size


def test_an_empty_folder_says_how_to_begin(tmp_path):
    result = call("status", "--runs", tmp_path)
    said = " ".join(result.out.split())
    assert (result.code, said) == (0, f"no study in {tmp_path} yet: make search")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("words", [(), ("--study", "s")], ids=["list", "one"])
def test_no_line_is_wider_than_the_terminal_or_ends_in_blanks(runs, monkeypatch, width, words):
    begun(runs)
    long = runs / "studies" / ("n" * 100)
    long.mkdir()
    (long / "journal.log").write_bytes((runs / "studies" / "s" / "journal.log").read_bytes())
    monkeypatch.setenv("COLUMNS", str(width))
    result = call("status", "--runs", runs, *words)
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert not [line for line in lines if len(line) > width or line != line.rstrip()]
    assert any("unreadable" in line for line in lines) == (not words), "its name is not its own"


def test_the_study_that_changed_last_comes_first(runs):
    other = runs / "studies" / "other"
    other.mkdir()
    (other / "journal.log").write_text("no journal\n")
    os.utime(other / "journal.log", (1, 1))
    found = study_list.entries(Studies(runs))
    assert [(one.name, one.state) for one in found] == [("s", "done"), ("other", "unreadable")]
    assert "is no Optuna journal" in found[1].problem


def test_a_study_runs_while_its_driver_lives(runs):
    place = runs / "studies" / "s"
    begun(runs)
    assert entry(runs).state == "interrupted", "its driver is gone"
    with exclusive(place, None):
        assert holder(place).startswith(f"process {os.getpid()} on ")
        assert entry(runs).state == "running"
    assert holder(place) == ""


def test_a_study_that_has_just_begun_is_listed_before_its_first_trial(runs):
    place = runs / "studies" / "new"
    with exclusive(place, None) as claim:
        claim.made = True
        assert entry(runs, "new").state == "running"
        assert "begins just now" in call("status", "--runs", runs, "--study", "new").one_line
    (place / "journal.log").touch()
    assert entry(runs, "new").state == "not begun"


def test_reading_leaves_half_a_line_and_the_link_of_a_running_driver(runs):
    place = runs / "studies" / "s"
    begun(runs)
    with open(place / "journal.log", "ab") as file:
        file.write(b'{"op_code": 8, "tri')
    os.symlink(place / "journal.log", place / "journal.log.lock")
    before = (place / "journal.log").read_bytes()
    for words in ((), ("--study", "s"), ("--study", "s", "--json")):
        assert call("status", "--runs", runs, *words).code == 0
    assert (place / "journal.log").read_bytes() == before
    assert (place / "journal.log.lock").is_symlink()


def test_what_runs_now_is_shown_with_its_last_epoch(runs):
    begun(runs)
    with exclusive(runs / "studies" / "s", None):
        out = call("status", "--runs", runs, "--study", "s").out
    last = out[out.index("runs now:") :].splitlines()
    assert last[1].split()[:3] == ["trial", "state", "epoch"]
    assert last[2].split()[:3] == ["2", "RUNNING", "1/4"]


def test_json_is_one_document_with_what_every_view_shows(runs):
    listed = json.loads(call("status", "--runs", runs, "--json").out)
    assert [(one["study"], one["state"]) for one in listed["studies"]] == [("s", "done")]
    one = json.loads(call("status", "--runs", runs, "--study", "s", "--json").out)
    assert one["headline"] == listed["studies"][0]["headline"]
    assert [row["trial"] for row in one["trials"]] == [1, 0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--follow",), "--follow needs --study NAME"),
        (("--archive", "x.zip"), "--archive needs --study NAME"),
        (("--follow", "--json", "--study", "s"), "are two deeds; give one"),
        (("--study", "s", "--delete", "s"), "leave out --study"),
        (("--yes",), "--yes goes with --delete"),
        (("--study", "t"), "unknown study 't'"),
        (("--study", "../s"), "--study: must be letters"),
        (("--delete", "s"), "can't ask without a terminal; add --yes"),
    ],
)
def test_what_says_nothing_is_one_line(runs, words, said, monkeypatch):
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115
    assert said in call("status", "--runs", runs, *words).one_line


@pytest.mark.process
def test_following_prints_a_line_for_each_change_until_the_driver_ends(runs):
    place = runs / "studies" / "s"
    with exclusive(place, None):
        process = start("status", "--runs", runs, "--study", "s", "--follow")
        assert line_of(process, "s: running: 2 of 2 trials complete")
        controller = begun(runs)
        assert "alpha" in line_of(process, "trial   2 RUNNING")
        for epoch in (2, 3, 4):
            settle(controller, 2, epoch_result(epoch, 0.6))
        assert line_of(process, "trial   2 COMPLETE") == (
            "trial   2 COMPLETE epoch 4/4 final_robust 0.600\n"
        )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("s: done: 3 of 3 trials complete, best trial 2: 0.600")


@pytest.mark.process
def test_following_waits_for_a_study_that_begins_just_now(tmp_path):
    place = tmp_path / "studies" / "s"
    with exclusive(place, None) as claim:
        process = start("status", "--runs", tmp_path, "--study", "s", "--follow")
        assert line_of(process, "s: ") == "s: begins just now; waiting until it has begun\n"
        controller = controller_at(place, trials=1)
        claim.made = True
        assert line_of(process, "s: running")
        finish(controller, controller.ask(), 0.5)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines()[-1].startswith("s: done: 1 of 1 trials complete")
    unknown = call("status", "--runs", tmp_path, "--study", "other", "--follow").one_line
    assert "unknown study 'other'" in unknown


@pytest.mark.process
def test_following_ends_where_what_begins_is_refused(runs):
    with pytest.raises(ZeroDivisionError), exclusive(runs / "studies" / "new", None):
        process = start("status", "--runs", runs, "--study", "new", "--follow")
        assert line_of(process, "new: begins just now")
        raise ZeroDivisionError
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2 and "unknown study 'new'" in err


@pytest.mark.process
def test_ctrl_c_ends_the_following_alone(runs):
    with exclusive(runs / "studies" / "s", None):
        process = start("status", "--runs", runs, "--study", "s", "--follow")
        assert line_of(process, "s: running")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "status: interrupted\n")


def test_an_age_has_one_unit():
    ages = [study_list.age(seconds) for seconds in (-3, 59, 200, 8000, 200_000)]
    assert ages == ["0 s", "59 s", "3 min", "2 h", "2 d"]
    assert study_list.stamp(0) == "1970-01-01T00:00:00Z"
