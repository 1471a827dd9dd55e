"""Two studies of one name, in different places: neither takes the other's files for its own."""

import pytest

from pipeline.study.folder_owner import own, owns, prove_free
from pipeline.study.retention import files_at, files_of
from pipeline.study.storage import open_storage, open_study
from regmix.errors import InputError
from tests.pipeline.test_beginnings import everything
from tests.support.controllers import VERSIONS, problem_of, study_at
from tests.support.processes import call
from tests.support.studies import search_arguments


def held(searched):
    """All that lies in the study's folder, but for the lock."""
    found = everything(searched / "studies" / "wamr-digits")
    return {name: content for name, content in found.items() if name != "lock"}


@pytest.mark.parametrize("kind", ["database", "journal"])
def test_a_new_study_elsewhere_is_refused_the_folder_of_its_namesake(searched, tmp_path, kind):
    storage = f"sqlite:///{tmp_path / 'x.db'}" if kind == "database" else tmp_path / "x.log"
    before = held(searched)
    told = call("search", *search_arguments(searched), "--storage", storage).one_line
    assert "wamr-digits holds the files of another study of this name" in told
    assert held(searched) == before
    assert not (tmp_path / "x.db").exists() and not (tmp_path / "x.log").exists()


def test_a_new_study_is_refused_where_the_files_of_one_elsewhere_are(searched):
    (searched / "studies" / "wamr-digits" / "journal.log").unlink()  # as one in a database has it
    before = held(searched)
    assert "trials holds the files of another" in call("search", *search_arguments(searched)).err
    assert held(searched) == before


def test_nobody_reads_or_removes_files_of_a_namesake(searched, tmp_path):
    url = f"sqlite:///{tmp_path / 'x.db'}"
    elsewhere = open_study("wamr-digits", open_storage(url, tmp_path))
    elsewhere.begin_study(VERSIONS)
    elsewhere.hold("problem", problem_of().identity())
    before, where = held(searched), ("--runs", searched, "--storage", url)
    for command in ("--delete wamr-digits --yes", "--rename wamr-digits new"):
        told = call("status", *command.split(), *where).one_line
        assert "is the folder of another study of this name" in told
    assert "another study of this name" in call("report", "--study", "wamr-digits", *where).one_line
    assert held(searched) == before


def test_a_folder_is_its_own_by_its_journal_or_by_its_owner(tmp_path):
    (tmp_path / "one").mkdir()
    one = study_at(tmp_path / "one")
    two = study_at(tmp_path / "two", storage=f"sqlite:///{tmp_path / 'x.db'}")
    own(one, tmp_path / "one", None)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["journal.log"]
    assert owns(one, tmp_path / "one") and not owns(two, tmp_path / "one")
    (tmp_path / "two").mkdir(exist_ok=True)
    assert owns(one, tmp_path / "two")  # nobody has made it his own
    own(two, tmp_path / "two", "sqlite:///x.db")
    assert owns(two, tmp_path / "two") and not owns(one, tmp_path / "two")
    with pytest.raises(InputError, match="folder of another study"):
        files_of(one, tmp_path / "two")
    with pytest.raises(InputError, match="holds the files of another study"):
        prove_free("s", tmp_path / "two", None, files_at("s", tmp_path / "two", None))
