"""The model with looks at earlier studies: against its formula, and how far it believes them."""

import math

import numpy as np
import pytest

from pipeline.forecast.gaussian_process import Hyperparameters, Looks, Process, improved

OWN, SOURCES = (0.4, 0.2, 0.6, -1.5, 0.1, -4.0), (1.2, -0.7)  # of one parameter; logits of r
HYPER = Hyperparameters(OWN + SOURCES, sources=2)


def looks(study):
    """Return two looks at a trial of each of some studies."""
    random, count = np.random.default_rng(5), len(study)
    epoch = np.tile(np.log([2.0, 9.0]), count)
    return Looks(
        random.random((count, 1)),
        np.array([0]),
        np.repeat(np.arange(count), 2),
        epoch,
        random.normal(size=2 * count),
        np.array(study),
    )


def covariance(one, other):
    """The formula of the module, look by look: (x, log epoch, study, trial) each."""
    length, rho = math.exp(OWN[0]), 1 / (1 + math.exp(-OWN[1]))
    time, variance, own = (math.exp(value) for value in OWN[2:5])
    r = [1.0, *(1 / (1 + math.exp(-logit)) for logit in SOURCES)]
    found = np.empty((len(one), len(other)))
    for i, (x, s, study, trial) in enumerate(one):
        for j, (y, t, other_study, other_trial) in enumerate(other):
            d = math.sqrt(5) * abs(x - y) / length
            near = (1 + d + d * d / 3) * math.exp(-d)
            near *= 1.0 if study == other_study else r[study] * r[other_study]
            found[i, j] = near * (rho + (1 - rho) * math.exp(-abs(s - t) / time))
            if trial == other_trial:
                found[i, j] += variance * math.exp(-abs(s - t) / own)
    return found


def test_a_prediction_with_sources_is_that_of_the_formula_written_out():
    known = looks([0, 0, 1, 2, 1])
    rows = [
        (known.points[t, 0], s, known.study[t], t)
        for t, s in zip(known.trial, known.epoch, strict=True)
    ]
    at = [(known.points[1, 0], math.log(12.0), 0, 1), (0.35, math.log(5.0), 0, None)]
    inside = covariance(rows, rows) + (math.exp(OWN[5]) + 1e-8) * np.eye(len(rows))
    across = covariance(at, rows)
    mean = across @ np.linalg.solve(inside, known.values)
    left = np.diag(covariance(at, at)) - np.diag(across @ np.linalg.solve(inside, across.T))
    process = Process(known, HYPER)
    for k, own in ((0, 1), (1, None)):
        found = process.predict(np.array([[at[k][0]]]), np.array([at[k][1]]), own)
        assert np.allclose([found[0][0], found[1][0]], [mean[k], math.sqrt(left[k])], atol=1e-9)


def test_a_source_of_no_use_changes_nothing():
    known = looks([0, 0, 0, 1, 1])
    own = known.trial < 3
    alone = Looks(
        known.points[:3], known.owners, known.trial[own], known.epoch[own], known.values[own]
    )
    useless = Hyperparameters((*OWN, -40.0), sources=1)
    at = (np.array([[0.1], [0.6]]), np.log([4.0, 9.0]))
    with_it = Process(known, useless).predict(*at)
    without = Process(alone, Hyperparameters(OWN)).predict(*at)
    assert np.allclose(with_it, without, atol=1e-9)


def hills(value):
    """Return looks at 12 trials of a study that has its best at 0.3, and 25 of a source."""
    random = np.random.default_rng(2)
    points = random.random((37, 1))
    heights = -12 * (points[:, 0] - 0.3) ** 2
    heights[12:] = value(points[12:, 0])
    for part in (slice(12), slice(12, None)):
        heights[part] = (heights[part] - heights[part].mean()) / heights[part].std()
    study = np.repeat([0, 1], [12, 25])
    return Looks(points, np.array([0]), np.arange(37), np.full(37, math.log(9)), heights, study)


def same(x):
    return -((x - 0.3) ** 2)


def opposite(x):
    return (x - 0.3) ** 2


def other(x):
    return np.sin(12 * x)


def believed(value):
    """Return r as it is found from several beginnings, its median."""
    prior, known = Hyperparameters.prior(1, sources=1), hills(value)
    found = [improved(known, prior, np.random.default_rng(k), 120) for k in range(5)]
    return np.median([one.shared[1] for one in found])


def test_how_far_a_source_is_believed_follows_from_the_looks():
    assert believed(same) > 0.6 > 0.45 > believed(other) > 0.2 > believed(opposite)


@pytest.mark.parametrize("value", [other, opposite])
def test_a_source_of_little_use_does_little_harm(value):
    known, own = hills(value), slice(12)
    alone = Looks(
        known.points[own], known.owners, known.trial[own], known.epoch[own], known.values[own]
    )
    grid = np.linspace(0, 1, 101)[:, None]
    true = -12 * (grid[:, 0] - 0.3) ** 2
    raw = -12 * (known.points[own, 0] - 0.3) ** 2
    true = (true - raw.mean()) / raw.std()
    errors = []
    for looks, sources in ((known, 1), (alone, 0)):
        hyper = improved(looks, Hyperparameters.prior(1, sources), np.random.default_rng(0), 120)
        mean, _ = Process(looks, hyper).predict(grid, np.full(101, math.log(9)))
        errors.append(np.sqrt(np.mean((mean - true) ** 2)))
    assert errors[0] < 1.5 * errors[1]


def test_a_true_source_shows_the_best_before_the_study_has_been_near_it():
    known = hills(same)
    far = np.where((known.study == 1) | (known.points[:, 0] > 0.55))[0]  # none of its own near 0.3
    part = Looks(
        known.points[far],
        known.owners,
        np.arange(len(far)),
        known.epoch[far],
        known.values[far],
        known.study[far],
    )
    hyper = improved(part, Hyperparameters.prior(1, sources=1), np.random.default_rng(0), 120)
    grid = np.linspace(0, 1, 101)
    mean, _ = Process(part, hyper).predict(grid[:, None], np.full(101, math.log(9)))
    assert abs(grid[mean.argmax()] - 0.3) < 0.1
