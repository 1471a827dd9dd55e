"""An existing cluster, and GPU shares: Ray is given pretended GPUs, which it only counts."""

import re

import pytest

from tests.support.cluster import end, start_head, take_token
from tests.support.processes import run
from tests.support.studies import search_arguments, states


@pytest.fixture
def gpus(monkeypatch):
    """A head node of 2 cores and 1 pretended GPU; yields its address."""
    take_token(monkeypatch)
    address, process = start_head("--num-cpus=2", "--num-gpus=1")
    yield address
    end(process)


@pytest.mark.process(seconds=13)
def test_gpu_shares_decide_how_many_trials_run_at_once(gpus, tmp_path):
    options = ("--address", gpus, "--gpus-per-trial", "0.5", "--pruner", "none")
    result = run("search", *search_arguments(tmp_path, *options, trials=4))
    assert result.code == 0, result.err
    assert "of the time of 2 parallel trials" in " ".join(result.out.split())  # half a GPU each
    trials = states(tmp_path)
    assert [trial.state for trial in trials.values()] == ["COMPLETE"] * 4
    assert most_at_once(trials.values()) == 2

    whole = run(
        "search", *search_arguments(tmp_path / "x", "--address", gpus), "--gpus-per-trial", "2"
    )
    assert "Ray has 2 cores and 1 GPUs, too few for one trial" in whole.one_line


@pytest.mark.process(seconds=13)
def test_a_share_that_is_measured_changes_while_the_search_goes(gpus, tmp_path):
    """The first trial has the card alone; then two try it, in other actors with other shares."""
    options = ("--address", gpus, "--gpus-per-trial", "auto", "--pruner", "none")
    result = run("search", *search_arguments(tmp_path, *options, trials=5))
    assert result.code == 0, result.err
    trials = states(tmp_path)
    assert [trial.state for trial in trials.values()] == ["COMPLETE"] * 5
    assert most_at_once(trials.values()) == 2
    said = r"trials on a GPU at once: [12] \(.*; epochs an hour on a card: [0-9]+ with 1"
    assert re.search(said, " ".join(result.out.split()))


def most_at_once(trials):
    """Return how many trials overlapped in time, at most."""
    begun = [(trial.frozen.datetime_start, 1) for trial in trials]
    ended = [(trial.frozen.datetime_complete, -1) for trial in trials]
    running = most = 0
    for _, change in sorted(begun + ended):
        running += change
        most = max(most, running)
    return most
