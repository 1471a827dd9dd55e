"""The ceiling of rank correlations, proved on simulated models whose truth is known."""

import numpy as np
import pytest

from benchmarks.curves import rank_correlation
from benchmarks.ranks import better, expected_correlation, ranks

MODELS, VALID, TEST = 30, 200, 300
SKILLS = np.linspace(-0.25, 0.25, MODELS)


def drawn(generator, images, shift=0.0):
    """Verdicts on fresh images: some are hard for all, and chance is each model's own."""
    hardness = generator.normal(0, 1, images)
    own = generator.normal(0, 0.6, (MODELS, images))
    return (SKILLS + shift)[:, None] + hardness + own > 0


def test_the_ceiling_is_what_two_fresh_draws_of_images_have():
    generator = np.random.default_rng(0)
    truth, linear, ceilings, formulas = [], [], [], []
    for _ in range(150):
        valid, test = drawn(generator, VALID), drawn(generator, TEST)
        one, other = valid.mean(axis=1), test.mean(axis=1)
        truth.append(rank_correlation(one, other))
        linear.append(np.corrcoef(one, other)[0, 1])
        found = ranks(valid, test, draws=10)
        ceilings.append(found.ceiling)
        formulas.append(found.linear)
    assert 0.5 < np.mean(truth) < 0.95  # else there would be nothing to find
    assert np.mean(ceilings) == pytest.approx(np.mean(truth), abs=0.015)
    assert np.mean(formulas) == pytest.approx(np.mean(linear), abs=0.015)


def test_the_ceiling_of_equal_models_is_nothing_and_a_bootstraps_is_not():
    """What means of all images differ by chance is truth to a bootstrap, not to a division."""
    generator = np.random.default_rng(1)
    divided, bootstrapped = [], []
    for _ in range(60):
        valid, test = drawn(generator, VALID, -SKILLS), drawn(generator, TEST, -SKILLS)
        every = np.concatenate([valid, test], axis=1)
        parts = (every[:, generator.integers(0, VALID + TEST, n)] for n in (VALID, TEST))
        bootstrapped.append(rank_correlation(*(part.mean(axis=1) for part in parts)))
        divided.append(ranks(valid, test, draws=10).ceiling)
    assert np.mean(divided) == pytest.approx(0, abs=0.08)
    assert np.mean(bootstrapped) > 0.2


def test_p_values_of_a_judge_that_reaches_the_ceiling_are_uniform():
    generator, found = np.random.default_rng(2), []
    for _ in range(100):
        found.append(ranks(drawn(generator, VALID), drawn(generator, TEST), draws=40).below)
    for share in (0.2, 0.5, 0.8):
        assert (np.array(found) <= share).mean() == pytest.approx(share, abs=0.15)


def test_a_judge_that_is_fooled_by_some_models_is_seen_to_be_below():
    generator = np.random.default_rng(3)
    fooled = generator.normal(0, 0.15, MODELS)  # validation alone takes these for better
    found = ranks(drawn(generator, VALID, fooled), drawn(generator, TEST), draws=200)
    assert found.observed < 0.95 * found.ceiling
    assert found.below <= 0.05


def test_fewer_images_are_taken_of_each_part_and_rank_worse():
    generator = np.random.default_rng(4)
    valid, test = drawn(generator, 1000), drawn(generator, 2000)
    few, many = ranks(valid, test, (100, 100), draws=100), ranks(valid, test, draws=100)
    assert few.observed == pytest.approx(few.ceiling, abs=0.06)
    assert few.ceiling < many.ceiling - 0.1 and few.linear < many.linear - 0.1


def test_models_without_a_difference_correlate_by_nothing():
    same = np.tile(np.arange(50) % 2 == 0, (4, 1))
    assert expected_correlation(same, 20, 30) == 0.0
    with pytest.warns(match="constant"):
        assert np.isnan(rank_correlation([1, 1, 1], [1, 2, 3]))


def test_the_better_models_are_chosen_by_both_parts_alike():
    valid = np.array([[1, 1], [0, 0], [1, 0], [0, 0]], dtype=bool)
    test = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], dtype=bool)
    assert [part.tolist() for part in better((valid, test), 2)] == [
        [[True, False], [True, True]],
        [[True, True], [False, False]],
    ]
