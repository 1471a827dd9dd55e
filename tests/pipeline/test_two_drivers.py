"""Two drivers on one study in a database, as two users type them."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.processes import call, free_port, next_trial, start
from tests.support.studies import search_arguments, shown, states


def binary(name):
    versions = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name) or (str(versions[-1]) if versions else None)
    return found or pytest.skip("PostgreSQL is not installed here")


@pytest.fixture(scope="module")
def postgresql():
    """A server of its own, on 127.0.0.1; it refuses to run as root, so another user does."""
    pytest.importorskip("psycopg")
    initialize = [binary("initdb"), "-A", "trust", "-U", "search", "-D"]
    place = Path(tempfile.mkdtemp(prefix="postgresql-"))  # no folder above it shuts that user out
    user = pwd.getpwnam("postgres") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    os.chown(place, user.pw_uid, user.pw_gid)
    port, data = free_port(), place / "data"

    def as_user(*words):
        other = (user.pw_uid, user.pw_gid) if os.getuid() == 0 else (None, None)
        subprocess.run(
            words, check=True, stdout=subprocess.DEVNULL, cwd="/", user=other[0], group=other[1]
        )

    as_user(*initialize, data)
    settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
    control = (binary("pg_ctl"), "-D", data)
    as_user(*control, "-w", "-o", settings, "-l", place / "log", "start")
    yield f"postgresql+psycopg://search@127.0.0.1:{port}/postgres"
    as_user(*control, "-m", "immediate", "stop")
    shutil.rmtree(place)


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
    told = [int(line.split()[1]) for line in out.splitlines() if line.startswith("trial")]
    assert int(first.split()[1]) not in told  # that one was the other's
    assert 4 <= len(told) < 8
    views, summaries = shown(tmp_path)
    assert len(summaries) == 1
    assert {number: view.info.status for number, view in views.items()} == dict.fromkeys(
        range(8), "FINISHED"
    )
    again = call("search", *arguments)
    assert "wamr-digits is complete" in again.out, again.err
