"""Differences on the same images: known answers, and how often the interval holds the truth."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from regmix.evaluation.paired import PairedDifference, paired
from regmix.evaluation.results import FinalEvaluation, pack
from tests.support.controllers import no_masking


def evaluation(bits):
    return FinalEvaluation(sum(bits), len(bits), no_masking(), pack(bits))


def test_images_are_counted_that_survive_one_alone():
    one, other = [True, True, True, False, False], [True, False, False, True, False]
    found = paired(evaluation(one), evaluation(other))
    assert found == PairedDifference(gained=2, lost=1, count=5)
    assert found.value == pytest.approx(1 / 5)
    assert found.variance == pytest.approx((3 / 5 - 1 / 25) / 5)
    differences = np.array(one, int) - np.array(other, int)
    assert found.variance == pytest.approx(differences.var() / 5)
    turned = paired(evaluation(other), evaluation(one))
    assert turned.value == -found.value
    assert turned.interval == pytest.approx(tuple(-end for end in reversed(found.interval)))


def test_of_more_images_the_first_ones_count():
    generator = np.random.default_rng(0)
    few, many = (generator.random(count) < 0.5 for count in (7, 30))
    found = paired(evaluation(few.tolist()), evaluation(many.tolist()))
    assert found == paired(evaluation(few.tolist()), evaluation(many[:7].tolist()))
    assert found.count == 7
    assert paired(evaluation([True]), FinalEvaluation(1, 1, no_masking())) is None


def test_the_interval_of_an_example_by_hand():
    """Of 48 images 11 and 3: (12 - 4) / 50, and z sqrt((16 / 50 - 0.16 ** 2) / 50)."""
    half = 1.959964 * math.sqrt((0.32 - 0.0256) / 50)
    assert PairedDifference(11, 3, 48).interval == pytest.approx((0.16 - half, 0.16 + half))


@pytest.mark.parametrize(("gained", "lost"), [(0, 0), (5, 0), (3, 9), (40, 40), (700, 640)])
def test_the_test_is_the_binomial_one(gained, lost):
    expected = binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert PairedDifference(gained, lost, 2000).p_value == pytest.approx(expected)


@pytest.mark.parametrize("count", [100, 400])
@pytest.mark.parametrize("disagreement", [0.03, 0.08, 0.15])
@pytest.mark.parametrize("difference", [0.0, 0.02])
def test_the_interval_holds_the_truth_as_often_as_it_says(count, disagreement, difference):
    """Exactly: the sum over all numbers of images that differ, and of those that are gained."""
    held = 0.0
    share = (disagreement + difference) / 2 / disagreement
    for differ in range(count + 1):
        weight = binom.pmf(differ, count, disagreement)
        if weight < 1e-9:
            continue
        gained = np.arange(differ + 1)
        ends = [PairedDifference(int(k), differ - int(k), count).interval for k in gained]
        inside = [low <= difference <= high for low, high in ends]
        held += weight * float(binom.pmf(gained, differ, share)[inside].sum())
    few = disagreement * count < 10  # then it is wider than it needs to be
    assert 0.943 < held < (1.0 if few else 0.975)


def test_more_disagreement_is_less_certain():
    widths = [high - low for low, high in (PairedDifference(k, k, 400).interval for k in range(9))]
    assert all(one < other for one, other in itertools.pairwise(widths))
