"""The model of learning curves: against its formulas written out, and on curves of known shape."""

import math

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy.stats import multivariate_normal, norm

from pipeline.forecast.coordinates import Coordinates
from pipeline.forecast.curves import MOST, Curve, Curves, Scale, seen
from pipeline.forecast.decision import Forecast, Goal
from pipeline.forecast.gaussian_process import Hyperparameters, Looks, Process, improved

MIXED = Coordinates(
    {
        "rate": FloatDistribution(0.01, 1.0, log=True),
        "share": FloatDistribution(0.5, 1.5),
        "depth": IntDistribution(1, 4),
        "width": IntDistribution(8, 64, log=True),
        "kind": CategoricalDistribution(("a", "b", "c")),
    }
)
RANGES = list(MIXED.distributions.items())
LINE = Coordinates({"x": FloatDistribution(0.0, 1.0)})
HYPER = Hyperparameters((-0.3, 0.4, 0.2, 0.6, -1.5, 0.1, -4.0))


def looks():
    random = np.random.default_rng(3)
    trial = np.array([0, 0, 1, 2, 2, 2])
    epoch = np.log([1.0, 3, 2, 1, 3, 9])
    points = random.random((3, 2))
    return Looks(points, np.array([0, 1]), trial, epoch, random.normal(size=6))


def covariance(one, other):
    """The formula of the module, look by look: (point, log epoch, trial) each."""
    lengths = np.exp(HYPER.values[:2])
    rho = 1 / (1 + math.exp(-HYPER.values[2]))
    length, variance, own, _ = (math.exp(value) for value in HYPER.values[3:])
    found = np.empty((len(one), len(other)))
    for i, (x, s, t) in enumerate(one):
        for j, (y, r, u) in enumerate(other):
            d = math.sqrt(5 * sum(((x - y) / lengths) ** 2))
            near = (1 + d + d * d / 3) * math.exp(-d)
            found[i, j] = near * (rho + (1 - rho) * math.exp(-abs(s - r) / length))
            if t == u:
                found[i, j] += variance * math.exp(-abs(s - r) / own)
    return found


def rows(known):
    return [(known.points[t], s, t) for t, s in zip(known.trial, known.epoch, strict=True)]


def test_a_prediction_is_that_of_the_formula_written_out():
    known, noise = looks(), math.exp(HYPER.values[-1])
    at = [(known.points[2], math.log(12.0), 2), (np.array([0.2, 0.9]), math.log(5.0), None)]
    inside = covariance(rows(known), rows(known)) + (noise + 1e-8) * np.eye(6)
    across = covariance(at, rows(known))
    mean = across @ np.linalg.inv(inside) @ known.values
    left = np.diag(covariance(at, at)) - np.diag(across @ np.linalg.inv(inside) @ across.T)
    process = Process(known, HYPER)
    for k, own in ((0, 2), (1, None)):
        found = process.predict(at[k][0][None], np.array([at[k][1]]), own)
        assert np.allclose([found[0][0], found[1][0]], [mean[k], math.sqrt(left[k])], atol=1e-9)


def test_the_posterior_of_hyperparameters_is_likelihood_times_prior():
    known = looks()
    other = Hyperparameters(HYPER.values[:-1] + (-3.0,))
    density = []
    for noise in (HYPER.values[-1], -3.0):
        inside = covariance(rows(known), rows(known)) + (math.exp(noise) + 1e-8) * np.eye(6)
        density.append(multivariate_normal(np.zeros(6), inside).logpdf(known.values))
        density[-1] += norm(-4.5, 1).logpdf(noise)
    found = Process(known, HYPER).log_posterior - Process(known, other).log_posterior
    assert found == pytest.approx(density[0] - density[1], abs=1e-9)


def test_hyperparameters_are_never_made_less_likely():
    known, generator = looks(), np.random.default_rng(0)
    first = Hyperparameters.prior(2)
    better = improved(known, first, generator, 40)
    assert Process(known, better).log_posterior > Process(known, first).log_posterior
    assert improved(known, better, generator, 0) == better


def test_configurations_come_back_from_their_shares():
    generator = np.random.default_rng(1)
    shares = MIXED.random(generator, 500)
    for row in shares:
        params = MIXED.params(row)
        assert all(one._contains(one.to_internal_repr(params[name])) for name, one in RANGES)
        again = MIXED.params(MIXED.shares(params))
        for name in ("kind", "depth", "width"):
            assert again[name] == params[name]
        for name in ("rate", "share"):
            assert again[name] == pytest.approx(params[name])
    depths = [MIXED.params(row)["depth"] for row in shares]
    assert min(depths.count(depth) for depth in (1, 2, 3, 4)) > 90  # each is a quarter
    rates = np.log10([MIXED.params(row)["rate"] for row in shares])
    assert abs(np.median(rates) + 1) < 0.15  # uniform in the logarithm


def test_points_of_choices_lie_one_apart():
    shares = np.array([[0.5, 0.5, 0.5, 0.5, kind] for kind in (0, 1, 2)])
    points = MIXED.points(shares)
    assert points.shape == (3, 7)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.linalg.norm(points[one] - points[other]) == pytest.approx(1)
    assert MIXED.owners.tolist() == [0, 1, 2, 3, 4, 4, 4]


def test_small_changes_are_small_and_stay_inside():
    generator = np.random.default_rng(2)
    parent = np.array([[0.01, 0.5, 0.99, 0.5, 1.0]])
    found = MIXED.near(generator, parent, 2000)
    assert found.min() >= 0 and found[:, :4].max() <= 1
    same = (found == parent).mean(axis=0)
    assert np.all(same > 0.45) and np.all(same[[1, 3]] < 0.55)
    assert 0.05 < found[:, 1].std() < 0.2
    assert set(found[:, 4]) == {0.0, 1.0, 2.0}


def test_the_scale_keeps_the_order_and_comes_back():
    values = np.array([0.1, 0.3, 0.45, 0.5])
    scale = Scale.of(values, values)
    heights = scale.at(values)
    assert np.all(np.diff(heights) > 0) and np.allclose(scale.value(heights), values)
    assert heights[3] - heights[2] > heights[1] - heights[0]  # finer where it is good
    assert scale.target(0.99) == pytest.approx(heights[3] + 1)


def curves(ends, epochs=9, reached=None):
    """Curves over x that rise by halves to their ends."""
    known = Curves(LINE, epochs)
    for number, (x, end) in enumerate(ends):
        last = epochs if reached is None else reached[number]
        steps = tuple(range(1, last + 1))
        values = tuple(end * (1 - 0.5**epoch) for epoch in steps)
        final = values[-1] if last == epochs else None
        known.known[number] = Curve(number, np.array([x]), steps, values, final, worst=False)
        known.tried[number] = np.array([x])
        known.count += len(steps)
    return known


def model(known, random=(0,), reporting=None):
    found = seen(known, reporting)
    hyper = improved(found.looks, Hyperparameters.prior(1), np.random.default_rng(0), steps=80)
    tried = np.stack(list(known.tried.values()))
    return Forecast(LINE, known.epochs, found, tried, Process(found.looks, hyper), random)


def hill(x):
    return 0.8 - 2 * (x - 0.3) ** 2


SPREAD = [(x, hill(x)) for x in np.linspace(0, 1, 11)]


def test_what_is_proposed_lies_on_the_hill():
    proposed = [float(model(curves(SPREAD), (k,)).most_promising()[0]) for k in range(12)]
    assert np.median(np.abs(np.array(proposed) - 0.3)) < 0.1


def test_what_was_begun_is_not_proposed_again():
    known = curves([(x, 0.2 + 0.6 * x) for x in np.linspace(0, 1, 11)])  # the best is at the bound
    known.tried[11] = np.array([0.97])  # it runs, without a value so far
    for k in range(12):
        assert not {float(model(known, (k,)).most_promising()[0])} & {0.97, *np.linspace(0, 1, 11)}
    rivals = model(known, (0,)).rivals(10)
    assert 120 < len(rivals.new) < 200  # small changes that change nothing are left out


def test_configurations_are_told_apart_as_they_would_be_trained():
    several = Coordinates(
        {
            "kind": CategoricalDistribution(("x", "y")),
            "number": IntDistribution(1, 3),
            "rate": FloatDistribution(1e-4, 1, log=True),
        }
    )
    params = several.params(np.array([1.0, 0.5, 0.25]))
    come_back = several.shares(params)
    same, other = np.array([1.0, 0.6, 0.25]), np.array([1.0, 0.9, 0.25])  # 0.6 is number 2 too
    left = several.unlike(np.stack([same, other, come_back]), come_back[None])
    assert left.tolist() == [other.tolist()]
    assert len(several.unlike(other[None], np.empty((0, 3)))) == 1


def test_a_bad_trial_has_rivals_and_a_leading_one_has_next_to_none():
    reached = [9] * 11 + [3, 3]
    known = curves([*SPREAD, (0.95, hill(0.95)), (0.3, 0.95)], reached=reached)
    bad, good = (
        np.mean([model(known, (k,)).rivals(number).likelier for k in range(12)])
        for number in (11, 12)
    )
    assert bad > 20 > good


def test_a_gain_is_expected_where_little_is_known_and_none_where_all_is():
    few = model(curves([(x, 0.8 - (x - 0.3) ** 2) for x in (0.6, 0.8, 1.0)]))
    many = model(curves([(x, 0.8 - (x - 0.3) ** 2) for x in np.linspace(0, 1, 41)]))
    assert few.expected_gain(4) > 4 * many.expected_gain(4)
    assert many.expected_gain(4) < 0.01
    assert few.expected_gain(8) >= few.expected_gain(4) > few.expected_gain(1) > 0


def test_a_trial_that_violates_a_constraint_counts_as_the_worst():
    known = curves(SPREAD)
    best = known.known[3]
    known.known[3] = Curve(3, best.shares, best.epochs, best.values, best.final, worst=True)
    found = seen(known, None)
    assert found.latest[3] == min(min(curve.values) for curve in known.known.values())
    assert found.latest.argmin() == 3


def test_the_last_value_of_a_complete_trial_is_its_objective():
    known = curves(SPREAD)
    for number, curve in list(known.known.items()):
        gap = 0.1 if number == 3 else 0.02  # the strong attack takes more from one of them
        final = curve.values[-1] - gap
        known.known[number] = Curve(number, curve.shares, curve.epochs, curve.values, final, False)
    latest = seen(known, None).latest
    assert latest[3] == pytest.approx(known.known[3].values[-1] - 0.08)
    assert latest[5] == pytest.approx(known.known[5].values[-1])


@pytest.mark.parametrize("trials", [40, 100, 1000])
def test_looks_stay_below_their_limit_and_the_best_is_always_among_them(trials):
    random = np.random.default_rng(trials)
    ends = [(x, hill(x)) for x in random.random(trials)]
    known = curves(ends, epochs=52, reached=random.integers(1, 52, trials).tolist())
    found = seen(known, None)
    assert len(found.looks.values) <= MOST
    best = max(known.known.values(), key=lambda curve: curve.values[-1])
    place = [curve.number for curve in found.curves].index(best.number)
    own = found.looks.epoch[found.looks.trial == place]
    assert math.log(best.epochs[-1]) == pytest.approx(own.max())
    lasts = {
        place: found.looks.epoch[found.looks.trial == place].max()
        for place in range(len(found.curves))
    }
    assert all(
        last == pytest.approx(math.log(found.curves[place].epochs[-1]))
        for place, last in lasts.items()
    )


def test_targets_lie_above_the_best_and_horizons_within_a_training():
    goals = [Goal.drawn(np.random.default_rng(k), 12, 0.6) for k in range(300)]
    assert {goal.horizon for goal in goals} == set(range(3, 13))
    above = np.log10([(goal.target - 0.6) / 0.4 for goal in goals])
    assert -4 <= above.min() < -3.8 and -1.2 < above.max() <= -1
