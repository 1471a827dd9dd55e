import pytest
from hypothesis import given
from hypothesis import strategies as st

from regmix.evaluation.results import Proportion


def test_the_share_is_hits_over_count():
    assert Proportion(3, 4).value == 0.75


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 1998, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (0, 10, 0.0, 0.2775),
        (5, 10, 0.2366, 0.7634),
        (10, 10, 0.7225, 1.0),
    ],
)
def test_the_interval_is_the_published_one(hits, count, low, high):
    assert Proportion(hits, count).interval == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_share_and_stays_between_none_and_all(pair):
    share = Proportion(*pair)
    low, high = share.interval
    assert 0 <= low <= share.value + 1e-12
    assert share.value - 1e-12 <= high <= 1


@given(st.integers(1, 100).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_of_the_misses_is_its_mirror(pair):
    hits, count = pair
    low, high = Proportion(hits, count).interval
    assert Proportion(count - hits, count).interval == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.mark.parametrize("tenths", range(11))
def test_more_images_narrow_the_interval(tenths):
    widths = [
        high - low
        for low, high in (Proportion(tenths * n, 10 * n).interval for n in (1, 2, 5, 20, 1000))
    ]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 10 * widths[-1]


@given(count=st.integers(2, 500))
def test_more_hits_raise_both_ends(count):
    intervals = [Proportion(hits, count).interval for hits in range(count + 1)]
    assert intervals == sorted(intervals)
    assert [high for _, high in intervals] == sorted(high for _, high in intervals)
