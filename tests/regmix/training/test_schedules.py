from itertools import pairwise
from typing import get_args

import pytest

from regmix.config import own_options
from regmix.training.schedules import SCHEDULES, constant, cosine, linear, multistep, trapezoid

RUN = [step / 1100 for step in range(1100)]


def test_the_configuration_names_exactly_the_schedules_there_are():
    assert set(get_args(own_options()["schedule"].annotation)) == set(SCHEDULES)


@pytest.mark.parametrize("schedule", SCHEDULES.values())
def test_the_rate_never_leaves_zero_to_its_base(schedule):
    factors = [schedule(progress) for progress in RUN]
    assert min(factors) >= 0
    assert max(factors) == 1


def test_constant_stays():
    assert {constant(progress) for progress in RUN} == {1.0}


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0, 1), (99, 1), (100, 0.1), (104, 0.1), (105, 0.01), (109, 0.01)]
)
def test_multistep_falls_at_epochs_100_and_105_of_110(epoch, factor):
    assert multistep(epoch / 110) == factor


def test_cosine_is_half_way_down_half_way_through():
    assert (cosine(0), cosine(0.5), cosine(1)) == pytest.approx((1, 0.5, 0), abs=1e-12)
    assert all(later <= earlier for earlier, later in pairwise(map(cosine, RUN)))
    assert cosine(0.25) + cosine(0.75) == pytest.approx(1)


def test_linear_rises_for_a_fifth_and_then_falls():
    assert (linear(0), linear(0.1), linear(0.2), linear(0.6)) == pytest.approx((0, 0.5, 1, 0.5))
    assert linear(1) == pytest.approx(0)
    slopes = [1100 * (later - earlier) for earlier, later in pairwise(map(linear, RUN))]
    assert slopes[:220] == pytest.approx([5.0] * 220)
    assert slopes[220:] == pytest.approx([-1.25] * 879)


def test_the_trapezoid_stays_and_then_falls_to_zero():
    points = (0.0, 0.5, 0.699, 0.85, 0.925, 1.0)
    assert [trapezoid(x) for x in points] == pytest.approx([1, 1, 1, 0.5, 0.25, 0])
