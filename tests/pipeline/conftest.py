import json
import shutil
from dataclasses import asdict

import pytest

from tests.support.cluster import TOKEN, end, start_head, take_token
from tests.support.killing import arguments
from tests.support.processes import Finished, run
from tests.support.shared import once
from tests.support.studies import outcome, search_arguments


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A search that ran to its end as a process: its folder, to be read, and what it printed."""

    def search(place):
        typed = search_arguments(place, "--space", "wamr", trials=8)
        result = run("search", *typed, cwd=place, cold=True)
        (place / "printed.json").write_text(json.dumps(asdict(result)))

    place = once(tmp_path_factory, "finished", search)
    return place, Finished(**json.loads((place / "printed.json").read_text()))


@pytest.fixture
def searched(finished, tmp_path):
    """A copy of its folder, for commands that hold the study or write to it."""
    return shutil.copytree(finished[0], tmp_path / "searched")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory, _head):
    """What a search that is the same each time finds when nobody kills anything."""

    def search(place):
        result = run("search", *arguments(place), "--address", _head, environment=TOKEN)
        assert result.code == 0, result.err

    rows = outcome(once(tmp_path_factory, "undisturbed", search))
    assert {row.state for row in rows.values()} == {"COMPLETE", "PRUNED"}
    return rows


@pytest.fixture(scope="session")
def _head():
    """A Ray node that stays up for all tests of this process."""
    with pytest.MonkeyPatch.context() as patch:
        take_token(patch)
        address, process = start_head("--num-cpus=2")
    yield address
    end(process)


@pytest.fixture
def cluster(_head, monkeypatch):
    """The words that let a search join Ray's 2 cores here, where its own start is not the test."""
    take_token(monkeypatch)
    return ("--address", _head)
