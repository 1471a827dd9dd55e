"""The folder, lock and storage of a study, after kills and with foreign files."""

import multiprocessing
import os
import signal

import optuna
import pytest

from pipeline.study import records
from pipeline.study.records import FORMAT
from pipeline.study.storage import exclusive, find_study, mend_journal, open_storage, study_folder
from regmix.errors import InputError
from tests.support.controllers import study_at


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
