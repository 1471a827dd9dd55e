"""A search's own Ray: nobody else's, whatever the environment says, and gone with its search."""

import contextlib
import fcntl
import os
import re
import resource
import signal
import sys
import time
import types
from pathlib import Path

import psutil
import pytest

from pipeline.execution import ray_cluster, ray_environment, ray_private
from pipeline.execution.session_folder import session_folder, sweep
from regmix.cores import usable_cores
from regmix.errors import InputError
from tests.support.processes import ROOT, call, free_port, start, wait_for
from tests.support.studies import search_arguments, states

PROGRAMS = os.defpath.split(":")


def test_a_session_folder_goes_with_its_session_and_its_neighbours_stay(tmp_path):
    with session_folder(tmp_path, "rgmx-") as one, session_folder(tmp_path, "rgmx-") as two:
        assert one != two and one.stat().st_mode & 0o777 == 0o700
        sweep(tmp_path, "rgmx-")
        assert one.is_dir() and two.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_session_left_goes_and_nothing_of_others(tmp_path):
    dead, foreign, unlocked = (tmp_path / name for name in ("rgmx-dead", "mine-1", "rgmx-new"))
    for place in (dead, foreign, unlocked):
        (place / "session_1").mkdir(parents=True)
    (dead / "lock").touch(), (foreign / "lock").touch()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "lock").touch()
    (tmp_path / "rgmx-link").mkdir()
    (tmp_path / "rgmx-link" / "lock").symlink_to(outside / "lock")
    with session_folder(tmp_path, "rgmx-"):
        left = {path.name for path in tmp_path.iterdir() if path.name != "rgmx-"}
    assert "rgmx-dead" not in left
    assert {"mine-1", "rgmx-new", "outside", "rgmx-link"} <= left


def test_a_folder_that_another_start_took_is_made_anew(tmp_path, monkeypatch):
    real, taken = fcntl.flock, []

    def raced(descriptor, how):
        if not taken:
            (place,) = tmp_path.iterdir()
            taken.append((place / "lock").unlink())
            place.rmdir()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", raced)
    with session_folder(tmp_path, "rgmx-") as place:
        assert taken and (place / "lock").exists()


def test_of_the_environment_nothing_reaches_it_that_is_meant_for_another_ray(monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_NAMESPACE", "RAY_gcs_server_port", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "junk")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    before = dict(os.environ)
    try:
        ray_environment.of_its_own()
        given = {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
        first = given["RAY_AUTH_TOKEN"]
        ray_environment.of_its_own()
        assert os.environ["RAY_AUTH_TOKEN"] != first
    finally:
        os.environ.clear()
        os.environ.update(before)
    assert "junk" not in given.values() and given["RAY_AUTH_MODE"] == "token"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/mine", ["/mine", *PROGRAMS]),
        ("", PROGRAMS),
        (None, PROGRAMS),
        (f"/mine:{os.defpath}", ["/mine", *PROGRAMS]),
        ("/usr/bin", ["/usr/bin", *(place for place in PROGRAMS if place != "/usr/bin")]),
    ],
)
def test_the_systems_programs_are_found_whatever_path_says(given, expected):
    """Ray's workers are begun by some of them: without, a search waited for them for ever."""
    before = dict(os.environ)
    try:
        os.environ.pop("PATH")
        os.environ.update({} if given is None else {"PATH": given})
        ray_environment.of_its_own()
        assert os.environ["PATH"].split(":") == expected
    finally:
        os.environ.clear()
        os.environ.update(before)


def test_of_a_cluster_what_the_user_says_holds(monkeypatch):
    before = dict(os.environ)
    try:
        monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
        ray_environment.of_a_cluster()
        ray_environment.of_a_cluster()
        assert os.environ["RAY_AUTH_MODE"] == "disabled"
        root = str(ROOT)
        assert os.environ["PYTHONPATH"].split(os.pathsep).count(root) == 1
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("{}/" + "long" * 30, "at most 107 bytes, but is "),
        ("/proc/nothing", "must be a folder that can be written to"),
        ("/dev/null", "must be a folder that can be written to"),
    ],
)
def test_a_place_for_its_sockets_that_can_not_be_is_one_line(
    tmp_path, monkeypatch, place, expected
):
    monkeypatch.setenv("RAY_TMPDIR", place.format(tmp_path))
    with pytest.raises(InputError, match=expected) as told:
        ray_environment.for_sockets()
    assert str(told.value).startswith("RAY_TMPDIR: ")
    assert str(told.value).endswith("set RAY_TMPDIR=/tmp")


def test_too_few_open_files_are_one_line(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    with pytest.raises(InputError, match="ulimit -n: Ray must have at least 512 open files"):
        ray_environment._allow_files()
    asked = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 4096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    ray_environment._allow_files()
    assert asked == [(4096, 4096)]


def test_auto_is_the_cluster_that_the_user_started_and_answers(monkeypatch):
    dead, told = f"127.0.0.1:{free_port()}", []
    monkeypatch.setattr(ray_private, "last_started", lambda: dead)
    monkeypatch.setattr(ray_cluster, "_check_listens", lambda address: told.append(address))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert ray_cluster._found() == dead
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    assert ray_cluster._found() == "127.0.0.1:1"
    monkeypatch.undo()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray_private, "last_started", lambda: dead)
    with pytest.raises(ConnectionError):  # a killed cluster left its file
        ray_cluster._found()


def test_auto_is_refused_before_the_plan_where_no_cluster_answers(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for written in (None, f"127.0.0.1:{free_port()}"):
        if written is not None:
            (tmp_path / "ray").mkdir()
            (tmp_path / "ray" / "ray_current_cluster").write_text(f"{written}\n")
        refused = call("search", *search_arguments(tmp_path / "runs", "--address", "auto"))
        assert "--address auto: no Ray cluster answers" in refused.one_line
        assert refused.out == ""


@pytest.mark.parametrize("names", [("RAY_TMPDIR", "TMPDIR"), ("TMPDIR",)], ids=str)
def test_the_cluster_that_was_started_last_is_read_where_ray_writes_it(
    tmp_path, monkeypatch, names
):
    from ray._private import utils

    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    for name in names:
        monkeypatch.setenv(name, str(tmp_path / name))
    assert ray_private.last_started() is utils.read_ray_address() is None
    file = tmp_path / names[0] / "ray" / "ray_current_cluster"
    file.parent.mkdir(parents=True)
    file.write_text("127.0.0.1:1\n")
    assert ray_private.last_started() == utils.read_ray_address() == "127.0.0.1:1"


@pytest.mark.parametrize("path", [("OWNER", "part"), ("gone",), ("Owner", "gone")])
def test_a_part_that_ray_has_no_more_is_left_alone(monkeypatch, path):
    module, owner = types.ModuleType("private"), types.SimpleNamespace(part=1)
    vars(module)["Owner"] = owner
    monkeypatch.setitem(sys.modules, "private", module)
    with ray_private._replaced("private", path, lambda _: 2):
        assert vars(owner) == {"part": 1}
    with ray_private._replaced("no.such.module", path, lambda _: 2):
        pass
    with ray_private._replaced("private", ("Owner", "part"), lambda before: before + 1):
        assert owner.part == 2
    assert owner.part == 1
    assert ray_private._without_unused(lambda *, no_monitor: no_monitor)() is True


def listening(process):
    """The addresses that a process and all that it started listen on."""
    found = set()
    for one in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            for socket in one.net_connections(kind="inet"):
                if socket.status == psutil.CONN_LISTEN:
                    found.add(socket.laddr.ip.removeprefix("::ffff:"))
    return found


def wait_for_end(process):
    """Wait until a process that is nobody's child any more has ended."""
    with contextlib.suppress(psutil.Error):
        while process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.05)


@pytest.mark.process(seconds=14)
def test_it_listens_on_loopback_alone_is_not_joined_and_goes_after_a_kill(tmp_path):
    """Beside junk in the environment, with a home that is not there."""
    variables = {"HOME": "/dev/null/x", "RAY_TMPDIR": "/tmp", "TMPDIR": str(tmp_path)}
    variables |= {"RAY_ADDRESS": "127.0.0.1:1", "RAY_NAMESPACE": "x", "OMP_NUM_THREADS": "junk"}
    variables |= {"http_proxy": "http://127.0.0.1:9", "RAY_AUTH_MODE": "junk"}
    typed = search_arguments(tmp_path / "runs", "--concurrency", "1", trials=1, epochs=200)
    search = start("search", *typed, environment=variables, cold=True)
    journal = tmp_path / "runs" / "studies" / "wamr-digits" / "journal.log"
    wait_for(lambda: journal.exists() and b"epoch_1" in journal.read_bytes(), search)
    driver = psutil.Process(search.pid)
    family = driver.children(recursive=True)
    assert any(process.name() == "raylet" for process in family)
    lines = {process.pid: " ".join(process.cmdline()) for process in family}
    for unused in ("monitor.py", "log_monitor.py", "dashboard/dashboard.py"):
        assert not [line for line in lines.values() if unused in line]
    ready = [line for line in lines.values() if re.match("ray::(?!.*Agent)", line)]
    assert len(ready) == usable_cores(), "the trial did not take a process that Ray had ready"
    assert listening(driver) == {"127.0.0.1"}
    (own,) = {
        Path(word.partition("=")[2])
        for process in family
        for word in process.cmdline()
        if word.startswith("--temp_dir=")
    }
    assert own.parent == Path("/tmp") and own.name.startswith("rgmx-")
    agents = [process for process in family if process.name().endswith("Agent")]
    search.send_signal(signal.SIGKILL)
    search.communicate()
    for process in family:
        if process not in agents:  # these end a minute later
            wait_for_end(process)
    sweep(Path("/tmp"), own.name), sweep(tmp_path, "regmix-")  # as the next start does
    assert not own.exists() and not list(tmp_path.glob("regmix-*"))
    assert states(tmp_path / "runs")[0].state == "RUNNING"
