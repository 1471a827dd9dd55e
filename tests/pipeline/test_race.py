"""Which configuration is best: known answers, and how often the race is wrong."""

import math

import numpy as np
import pytest

from pipeline.race.statistics import eliminated, p_value, seed_noise, standings

IMAGES = 400


def trained(generator, mean, seeds, noise=0.01, images=IMAGES, hardness=None):
    """Outcomes of trainings: images differ in hardness, seeds move all of them."""
    hardness = generator.normal(0, 1.5, images) if hardness is None else hardness
    rows = []
    for _ in range(seeds):
        shift = generator.normal(0, noise / 0.16)  # a logit's share of a mean near one half
        own = generator.normal(0, 0.7, images)
        rows.append(hardness + own + shift + (mean - 0.5) / 0.16 > 0)
    return np.array(rows)


def field(generator, means, seeds, **options):
    hardness = generator.normal(0, 1.5, IMAGES)
    return {
        name: trained(generator, mean, seeds, hardness=hardness, **options)
        for name, mean in enumerate(means)
    }


def test_the_paired_test_is_the_binomial_tail_over_images_that_differ():
    one = np.zeros((1, 10), dtype=bool)
    other = one.copy()
    other[0, :5] = True  # five images against it, none for it
    assert p_value(one, other) == pytest.approx(1 / 32)
    one[0, 9] = True  # and one for it: P(X >= 5) of 6
    assert p_value(one, other) == pytest.approx(7 / 64)
    assert p_value(other, other) == 1.0


def test_the_noise_between_seeds_is_pooled():
    runs = {0: np.zeros((2, 100), bool), 1: np.zeros((3, 100), bool)}
    runs[0][0, :10] = True  # means 0.1 and 0: squares 2 * 0.05 ** 2
    noise, freedom = seed_noise(runs)
    assert (noise, freedom) == (pytest.approx(math.sqrt(0.005 / 3)), 3)
    assert seed_noise({0: np.zeros((1, 9), bool)}) == (0.0, 0)


def test_equals_share_the_probability():
    total = np.zeros(3)
    for seed in range(60):
        found = standings(field(np.random.default_rng(seed), (0.5, 0.5, 0.5), 3), 0, draws=2000)
        total += [found[name].best for name in range(3)]
    assert total / 60 == pytest.approx([1 / 3] * 3, abs=0.12)
    same = np.zeros((2, 50), bool)
    same[:, :20] = True
    found = standings({4: same, 7: same.copy()}, 4)
    assert found[4].best == pytest.approx(0.5, abs=0.02)
    assert found[7].gain == 0.0


def test_what_is_far_ahead_is_the_best_for_sure():
    found = standings(field(np.random.default_rng(1), (0.4, 0.7, 0.42), 3), 0)
    assert found[1].best > 0.999
    assert found[1].gain_interval[0] > 0.1
    assert found[0].gain == 0.0


def test_intervals_hold_the_truth_as_often_as_they_say():
    """Truth is the mean over very many seeds and images; two finalists, three seeds."""
    held = gains = 0
    for seed in range(300):
        found = standings(field(np.random.default_rng(seed), (0.5, 0.5), 3), 0, draws=10)
        low, high = found[1].interval
        held += low <= 0.5 <= high
        low, high = found[1].gain_interval
        gains += low <= 0 <= high
    assert held / 300 > 0.93
    assert gains / 300 > 0.93


def test_names_and_their_order_mean_nothing():
    outcomes = field(np.random.default_rng(2), (0.5, 0.53, 0.48), 3)
    turned = {name: outcomes[name] for name in (2, 0, 1)}
    one, other = standings(outcomes, 0), standings(turned, 0)
    for name in outcomes:
        assert one[name].mean == other[name].mean
        assert one[name].best == pytest.approx(other[name].best, abs=0.02)
        assert one[name].gain_interval == pytest.approx(other[name].gain_interval)
    assert eliminated(outcomes, 0).keys() == eliminated(turned, 0).keys()


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_of_equals_hardly_one_is_ever_dropped(seeds):
    dropped = sum(
        bool(eliminated(field(np.random.default_rng(seed), (0.5,) * 6, seeds), 0))
        for seed in range(400)
    )
    assert dropped / 400 <= 0.05


def test_who_lies_behind_for_sure_drops_out_with_both_reasons_and_the_default_never():
    outcomes = field(np.random.default_rng(3), (0.3, 0.6, 0.3, 0.6), 3)
    dropped = eliminated(outcomes, 0)
    assert dropped.keys() == {2}
    assert "behind after 3 seeds" in dropped[2] and "on the same images" in dropped[2]


def test_images_alone_drop_nobody_where_seeds_are_as_noisy():
    """The same images tell two models apart; two lucky and two unlucky seeds do not."""
    generator = np.random.default_rng(0)
    outcomes = field(generator, (0.5, 0.5, 0.5), 2, noise=0.15)
    means = {name: runs.mean() for name, runs in outcomes.items()}
    leader = max(means, key=means.get)
    last = min(means, key=means.get)
    assert p_value(outcomes[last], outcomes[leader]) < 0.001
    assert eliminated(outcomes, leader) == {}


def test_after_one_seed_only_a_large_difference_drops():
    outcomes = field(np.random.default_rng(5), (0.5, 0.55, 0.52, 0.2), 1, noise=0.0)
    assert eliminated(outcomes, 0).keys() == {3}
