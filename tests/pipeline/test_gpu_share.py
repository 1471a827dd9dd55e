"""How many trials share a card: a table of measurements, and what of a search is measured."""

import pytest
import ray

from pipeline.execution.gpu_share import AUTO, MeasuredShare, most_by_memory, next_share
from pipeline.execution.ray_cluster import ClusterRequest, measured_share, plan_resources
from pipeline.study.events import CardMemory, EpochResult
from tests.support.controllers import MACHINE, VERSIONS, metrics

GB = 10**9


@pytest.mark.parametrize(
    ("seconds", "most", "expected"),
    [
        ({}, 8, 1),  # nothing is known: the first is alone
        ({1: [10.0]}, 8, 1),  # one epoch is none yet
        ({1: [10.0, 10.0]}, 8, 2),
        ({1: [10.0, 10.0]}, 1, 1),  # memory for one
        ({1: [10.0, 10.0], 2: [12.0] * 3}, 8, 2),  # two epochs of each trial
        ({1: [10.0, 10.0], 2: [12.0] * 4}, 8, 4),  # 360 an hour, then 600
        ({1: [10.0, 10.0], 2: [19.5] * 4}, 8, 1),  # 2 % more: not worth the memory
        ({1: [10.0, 10.0], 2: [25.0] * 4}, 8, 1),  # slower together than in turn
        ({1: [10.0, 10.0], 2: [12.0] * 4, 4: [30.0] * 8}, 8, 2),
        ({1: [10.0, 10.0], 2: [12.0] * 4, 4: [14.0] * 8}, 6, 6),  # not 8: memory for six
        ({1: [10.0, 10.0], 2: [12.0] * 4, 4: [14.0] * 8, 6: [40.0] * 12}, 6, 4),
        ({1: [10.0, 10.0], 2: [12.0] * 4, 4: [14.0] * 8}, 2, 2),  # a larger trial came
        ({1: [10.0, 10.0, 500.0], 2: [12.0] * 4}, 2, 2),  # one slow epoch decides nothing
    ],
)
def test_as_many_share_a_card_as_bring_the_most_epochs(seconds, most, expected):
    assert next_share(seconds, most) == expected


def test_epochs_of_all_cards_count_before_a_number_is_measured():
    assert next_share({1: [10.0] * 3}, 8, cards=2) == 1
    assert next_share({1: [10.0] * 4}, 8, cards=2) == 2


@pytest.mark.parametrize(
    ("needed", "card", "expected"),
    [(10, 80, 7), (24, 80, 3), (36, 80, 2), (37, 80, 1), (100, 80, 1), (8, 80, 9)],
)
def test_a_tenth_of_the_memory_stays_free(needed, card, expected):
    assert most_by_memory(needed * GB, card * GB) == expected


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def train(share, clock, numbers, epochs, seconds, memory):
    """Let trials train side by side, each epoch in the same seconds."""
    for epoch in range(1, epochs + 1):
        clock[0] += seconds
        for number in numbers:
            result = EpochResult(metrics(epoch, 0.4, last=99, seconds=seconds), MACHINE, VERSIONS)
            share.report(number, EpochResult(result.metrics, MACHINE, VERSIONS, memory))


def test_the_first_trial_is_alone_until_memory_and_pace_are_known(clock):
    share = MeasuredShare(cores=16, cards=1)
    assert (share.resources.concurrency, share.resources.gpus) == (1, 1)
    assert share.resources.cpus == share.resources.threads == 1
    train(share, clock, [0], 2, 10.0, CardMemory(9 * GB, 1 * GB, 80 * GB))
    assert share.per_card == 1  # its first epoch warmed up, one counts
    train(share, clock, [0], 1, 10.0, CardMemory(9 * GB, 1 * GB, 80 * GB))
    assert (share.resources.concurrency, share.resources.gpus, share.resources.cpus) == (2, 0.5, 1)
    assert share.largest == 16
    assert "at most 7 by memory and cores; epochs an hour on a card: 360 with 1" in share.in_words()


def test_epochs_count_only_while_as_many_train_as_shall(clock):
    memory = CardMemory(9 * GB, 1 * GB, 80 * GB)
    share = MeasuredShare(cores=16, cards=1)
    train(share, clock, [0], 3, 10.0, memory)
    train(share, clock, [0], 5, 10.0, memory)  # alone still: the other waits for a place
    assert share.per_card == 2
    share.leave(0)
    train(share, clock, [1, 2], 1, 12.0, memory)  # both warm up
    train(share, clock, [1, 2], 2, 12.0, memory)
    assert share.per_card == 4
    assert share.resources.gpus == 0.25
    train(share, clock, [1, 2, 3, 4], 5, 40.0, memory)
    assert share.per_card == 2  # four were slower in all


def test_a_last_epoch_which_holds_the_evaluation_measures_nothing(clock):
    share = MeasuredShare(cores=4, cards=1)
    for _ in range(9):
        clock[0] += 10
        share.report(0, EpochResult(metrics(4, 0.4, last=4, seconds=10.0), MACHINE, VERSIONS))
    assert share.per_card == 1


def test_memory_of_the_largest_trial_counts_and_running_out_of_it_halves(clock):
    share = MeasuredShare(cores=64, cards=1)
    small, large = (CardMemory(n * GB, 2 * GB, 80 * GB) for n in (4, 34))
    train(share, clock, [0], 3, 10.0, small)
    train(share, clock, [0, 1], 4, 10.0, small)
    assert share.per_card == 4
    share.ran_out(1)
    assert share.per_card == 2
    train(share, clock, [0], 1, 10.0, large)
    share.ran_out(0)
    assert share.per_card == 1


@pytest.mark.parametrize(("at_most", "expected"), [(None, 4), (3, 3), (1, 1)])
def test_cores_and_concurrency_bound_it(clock, at_most, expected):
    share = MeasuredShare(cores=4, cards=1, at_most=at_most)
    for count in (1, 2, 3, 4):
        train(share, clock, range(count), 20, 10.0, CardMemory(GB, GB, 80 * GB))
    assert share.resources.concurrency == expected
    assert share.resources.cpus == 4 // (at_most or 4)
    assert share.resources.gpus * expected <= 1


def test_without_a_gpu_it_takes_none_and_says_so(monkeypatch, capsys):
    request = ClusterRequest(None, None, AUTO)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    assert measured_share(request) is None
    said = capsys.readouterr().out
    assert said == "--gpus-per-trial auto: Ray has no GPU here, so trials take none\n"
    assert plan_resources(request).gpus == 0
    assert measured_share(ClusterRequest(None, None, 0.5)) is None
    have = {"CPU": 8.0, "GPU": 2.0}
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True, "Resources": have}])
    first, usual = measured_share(request).resources, plan_resources(request)
    assert (first.concurrency, first.gpus) == (usual.concurrency, usual.gpus) == (2, 1)
    assert capsys.readouterr().out == ""


@pytest.mark.skipif("not __import__('torch').cuda.is_available()", reason="no CUDA device is here")
def test_a_card_says_what_a_process_takes_of_it():
    import torch

    from regmix.device import memory

    held = torch.zeros(1 << 28, dtype=torch.uint8, device="cuda")
    peak, others, card = memory()
    assert peak >= held.nbytes and others > 0 and peak + others < card
