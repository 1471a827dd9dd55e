"""How the tests share two cores, and which of them start processes."""

import os
import platform
import subprocess

import pytest

from tests.support.browser import browsing
from tests.support.forked import Forked

# A second thread would only wait for the other test. Of torch, here and in each process.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process would compile what it imports
platform.platform()  # starts `uname` once in a process, which MLflow's import would do in a test

# Whoever uses one of these holds against a process.
PROCESSES = {"finished", "undisturbed", "cluster", "browsed"}


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(items):
    for item in items:
        if PROCESSES & set(item.fixturenames) and not item.get_closest_marker("process"):
            item.add_marker(pytest.mark.process)
    yield  # what is deselected goes
    items[:] = deal(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")))


def deal(items, workers):
    """Return the tests as parts of equal length, each with its share of the long ones in front.

    xdist gives a part to each test process, which takes from the end of another one's when its
    own is done: so the longest begin first, and neighbours in a file stay together.
    """
    long = sorted(filter(seconds, items), key=seconds, reverse=True)
    short = [item for item in items if not seconds(item)]
    parts: list[list[pytest.Item]] = []
    for left in range(workers, 0, -1):
        # back and forth, so that no part gets the longer one of each pair
        place = workers - left
        mine = [item for n, item in enumerate(long) if _seat(n, workers) == place]
        room = (len(items) - sum(len(part) for part in parts)) // left - len(mine)
        parts.append(mine + short[:room])
        short = short[room:]
    return [item for part in parts for item in part]


def _seat(number, workers):
    turn, seat = divmod(number, workers)
    return workers - 1 - seat if turn % 2 else seat


def seconds(item):
    """What its mark says that it takes, on a quiet machine; 0 where it says nothing."""
    mark = item.get_closest_marker("process")
    return mark.kwargs.get("seconds", 0) if mark else 0


@pytest.fixture
def browsed():
    """A page in headless Chromium, with what goes wrong on it; skipped where there is no browser.

    See `tests.support.browser.Browsed`; `browsed.page` is playwright's.
    """
    with browsing() as found:
        yield found


@pytest.fixture(autouse=True)
def _no_process_without_its_mark(request, monkeypatch):
    """`make test-fast` runs what starts none."""
    if request.node.get_closest_marker("process") is None:
        monkeypatch.setattr(subprocess.Popen, "__init__", _refuse)
        monkeypatch.setattr(Forked, "__init__", _refuse)


def _refuse(*_, **__):
    raise AssertionError("it starts a process: mark it @pytest.mark.process")
