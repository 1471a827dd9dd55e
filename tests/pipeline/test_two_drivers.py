"""Two drivers on one study in a database, as two users type them."""

import re
import signal

import pytest

from tests.support import postgresql as server
from tests.support.processes import call, next_trial, start
from tests.support.studies import search_arguments, shown, states


@pytest.fixture(scope="module")
def postgresql():
    pytest.importorskip("psycopg")
    if server.binary("initdb") is None:
        pytest.skip("PostgreSQL is not installed here")
    with server.postgresql() as uri:
        yield uri


@pytest.mark.process(seconds=28)
def test_two_drivers_share_a_study_and_the_living_takes_over_the_dead_ones_trials(
    tmp_path, postgresql, cluster
):
    shared = ("--storage", postgresql, "--heartbeat", "1s", "--concurrency", "1", *cluster)
    arguments = search_arguments(tmp_path, *shared, "--pruner", "none", trials=8, epochs=6)
    drivers = [start("search", *arguments) for _ in range(2)]
    first = next_trial(drivers[0])
    assert all(driver.poll() is None for driver in drivers), first
    drivers[0].send_signal(signal.SIGKILL)
    out, err = drivers[1].communicate(timeout=200)
    assert drivers[1].returncode == 0, out + err
    drivers[0].communicate()
    trials = states(tmp_path, storage=postgresql).values()
    assert [trial.state for trial in trials] == ["COMPLETE"] * 8
    assert all(list(trial.values) == list(range(1, 7)) for trial in trials)
    told = [int(line.split()[1]) for line in out.splitlines() if re.match(r"trial +\d", line)]
    assert int(first.split()[1]) not in told  # that one was the other's
    assert 4 <= len(told) < 8
    views, summaries = shown(tmp_path)
    assert len(summaries) == 1
    assert {number: view.info.status for number, view in views.items()} == dict.fromkeys(
        range(8), "FINISHED"
    )
    again = call("search", *arguments)
    assert "wamr-digits is complete" in again.out, again.err
