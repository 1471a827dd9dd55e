"""The count of a checkpoint's bytes by the hour, on sizes that are simple."""

import io

import pytest

from benchmarks.checkpoints import Counter, Sizes, by_the_hour
from pipeline.problem.problem import SearchProblem

SIZES = Sizes(former=100, between=50, before_reset=10)


@pytest.mark.parametrize(
    ("epochs", "seconds", "former", "now"),
    [
        (30, 2.0, (180_000, 1800), (0, 0)),  # over before a minute is
        (1800, 2.0, (180_000, 1800), (59 * 10, 59)),  # each minute, and a reset each time
        (1000, 7.0, (51_400, 514), (52 * 50 + 12 * 10, 64)),
        (100, 90.0, (4000, 40), (36 * 50 + 4 * 10, 40)),  # each epoch
    ],
)
def test_bytes_and_files_of_an_hour(epochs, seconds, former, now):
    config = SearchProblem.load("wamr", "cifar10", {"epochs": epochs}).config({})
    assert by_the_hour(SIZES, config, seconds) == {"former": former, "now": now}


def test_the_counter_counts_what_a_file_would_hold():
    counter, file = Counter(), io.BytesIO()
    for stream in (counter, file):
        stream.write(memoryview(b"1234"))
        stream.write(b"")
    assert counter.bytes == len(file.getvalue())
