"""The folder, lock and storage of a study, after kills and with foreign files."""

import json
import multiprocessing
import os
import signal

import optuna
import pytest

from pipeline.study import records
from pipeline.study.records import FORMAT
from pipeline.study.storage import exclusive, find_study, mend_journal, open_storage, study_folder
from regmix.errors import InputError
from tests.support.controllers import controller_at, finish, study_at
from tests.support.processes import call


def study_with_trials(place, count=3):
    storage = open_storage(None, place)
    study = optuna.create_study(study_name="s", storage=storage, direction="maximize")
    for _ in range(count):
        study.tell(study.ask(), 0.5)


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_half_a_line_at_the_end_is_cut_off_and_the_next_one_is_whole(tmp_path, cut):
    study_with_trials(tmp_path)
    journal = tmp_path / "journal.log"
    content = journal.read_bytes()
    journal.write_bytes(content + content[:cut])
    study = optuna.load_study(study_name="s", storage=open_storage(None, tmp_path))
    study.tell(study.ask(), 0.7)
    again = optuna.load_study(study_name="s", storage=open_storage(None, tmp_path))
    assert [trial.value for trial in again.trials] == [0.5, 0.5, 0.5, 0.7]


def test_the_link_of_a_killed_writer_is_taken_away(tmp_path):
    study_with_trials(tmp_path)
    link = tmp_path / "journal.log.lock"
    os.symlink(tmp_path / "journal.log", link)
    mend_journal(tmp_path / "journal.log")
    assert not link.is_symlink()


def hold(place, ready):
    with exclusive(place, None):
        ready.set()
        signal.pause()


@pytest.mark.process
def test_a_killed_holder_lets_go(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=hold, args=(tmp_path, ready))
    holder.start()
    assert ready.wait(60)
    with pytest.raises(InputError, match=f"process {holder.pid} on .* is running it"):
        exclusive(tmp_path, None).__enter__()
    holder.kill()
    holder.join()
    with exclusive(tmp_path, None):
        pass


def test_one_journal_for_two_studies_has_one_driver(tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    journal = str(tmp_path / "shared.log")
    with exclusive(tmp_path / "a", journal), pytest.raises(InputError, match="is running it"):
        exclusive(tmp_path / "b", journal).__enter__()


def test_a_database_by_url_works_like_the_journal(tmp_path):
    url = f"sqlite:///{tmp_path / 'studies.db'}"
    study = optuna.create_study(study_name="s", storage=open_storage(url, tmp_path))
    study.tell(study.ask(), 0.25)
    again = optuna.load_study(study_name="s", storage=open_storage(url, tmp_path))
    assert again.trials[0].value == 0.25


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", "x y", "x" * 101])
def test_a_name_that_is_no_file_name_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="--study: must be"):
        study_folder(tmp_path, name)


def test_a_study_is_found_by_its_name(tmp_path):
    place = tmp_path / "s"
    place.mkdir()
    begun = study_at(place)
    found = find_study("s", None, place)
    assert (found.name, found.problem) == ("s", begun.problem)


def test_a_name_that_no_study_has_is_told_with_the_nearest(tmp_path):
    (tmp_path / "wamr").mkdir()
    study_with_trials(tmp_path / "wamr")
    with pytest.raises(InputError, match="unknown study 'wamp'; did you mean 'wamr'"):
        find_study("wamp", None, tmp_path / "wamp")
    with pytest.raises(InputError, match="--study t: is not in this storage; check --storage"):
        find_study("t", str(tmp_path / "wamr" / "journal.log"), tmp_path / "t")


@pytest.mark.parametrize("stored", [FORMAT - 1, FORMAT + 1])
def test_a_study_of_another_format_is_refused_in_one_line(tmp_path, monkeypatch, stored):
    with monkeypatch.context() as patch:
        patch.setattr(records, "FORMAT", stored)
        study_at(tmp_path)
    with pytest.raises(InputError) as refused:
        find_study("s", None, tmp_path)
    message = str(refused.value)
    assert message.startswith(f"--study s: has format {stored}, and this version reads format")
    assert "begin a new study by --study" in message
    assert "\n" not in message and len(message) < 300


# ---- a study that was damaged by hand


@pytest.fixture(scope="module")
def _journal(tmp_path_factory):
    place = tmp_path_factory.mktemp("study")
    controller = controller_at(place)
    finish(controller, controller.ask())
    return (place / "journal.log").read_bytes()


@pytest.fixture
def place(_journal, tmp_path):
    """The folder of a study with a complete trial, below a folder of runs."""
    folder = tmp_path / "runs" / "studies" / "s"
    folder.mkdir(parents=True)
    (folder / "journal.log").write_bytes(_journal)
    return folder


def told(place):
    """Return the one line that each command has for a study, the search's last."""
    runs = place.parents[1]
    words = ("--study", "s", "--runs", runs)
    call("export", *words, "--out", runs / "out").one_line  # noqa: B018
    typed = ("--recipe", "digits", "--set", "epochs=4", *words)
    return call("search", *typed).one_line


TAILS = {
    "an unknown record": b'{"op_code": 999, "worker_id": "x"}\n',
    "a record of another kind": b'{"op_code": "a", "worker_id": "x"}\n',
    "a record without fields": b'{"op_code": 4, "worker_id": "x"}\n',
    "deep lists": b"[" * 100_000 + b"\n",
    "a list": b"[]\n",
}


@pytest.mark.parametrize("tail", TAILS.values(), ids=TAILS)
def test_a_journal_with_what_nobody_writes_is_one_line(place, tail):
    with open(place / "journal.log", "ab") as file:
        file.write(tail)
    assert "is no Optuna journal or is damaged" in told(place)


def test_a_journal_with_text_at_its_end_is_not_written_to(place):
    with open(place / "journal.log", "ab") as file:
        file.write(b"garbage\n")
    with pytest.raises(InputError, match="its last line is no record"):
        open_storage(None, place)


def test_any_field_of_a_journal_that_is_lost_is_one_line_or_nothing(place, _journal):
    lines = _journal.splitlines(keepends=True)
    for number, line in enumerate(lines):
        for field in json.loads(line).keys() - {"worker_id"}:
            changed = json.dumps({**json.loads(line), field: None}).encode() + b"\n"
            path = place / "journal.log"
            path.write_bytes(b"".join([*lines[:number], changed, *lines[number + 1 :]]))
            result = call("export", "--study", "s", "--runs", place.parents[1])
            assert result.code == 2 and len(result.err.splitlines()) == 1, (field, line)


@pytest.mark.parametrize(
    ("name", "value"),
    [("epoch_1", []), ("epoch_1", "x"), ("outcome", 1), ("config", 1), ("computed_on", [1])],
)
def test_an_attribute_of_a_trial_that_was_changed_by_hand_is_one_line(place, name, value):
    # no storage writes to a trial that has ended, but its file can be edited
    record = {"op_code": 8, "worker_id": "x", "trial_id": 0, "user_attr": {name: value}}
    path = place / "journal.log"
    lines = path.read_bytes().splitlines(keepends=True)
    end = max(n for n, line in enumerate(lines) if json.loads(line)["op_code"] == 6)
    path.write_bytes(b"".join([*lines[:end], json.dumps(record).encode() + b"\n", *lines[end:]]))
    assert "what is kept of trial 0 is damaged" in told(place)


def _kinds(path):
    path.unlink(missing_ok=True)
    return {
        "a pipe": lambda: os.mkfifo(path),
        "a folder": path.mkdir,
        "a loop": lambda: path.symlink_to(path.name),
        "a device": lambda: path.symlink_to("/dev/null"),
    }


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a loop", "a device"])
def test_what_lies_in_place_of_a_journal_is_one_line(place, kind):
    _kinds(place / "journal.log")[kind]()
    result = call("search", "--recipe", "digits", "--study", "s", "--runs", place.parents[1])
    assert "can't be read" in result.one_line
    with pytest.raises(InputError):
        find_study("s", None, place)


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a loop", "a device"])
def test_what_lies_in_place_of_weights_is_one_line(place, kind):
    (place / "trials" / "0000").mkdir(parents=True)
    _kinds(place / "trials" / "0000" / "weights.safetensors")[kind]()
    result = call("export", "--study", "s", "--runs", place.parents[1], "--out", place / "out")
    assert "can't be read" in result.one_line


def test_a_folder_in_place_of_the_lock_is_one_line(place):
    (place / "lock").mkdir()
    line = call("search", "--recipe", "digits", "--study", "s", "--runs", place.parents[1])
    assert "is a folder; remove it" in line.one_line
