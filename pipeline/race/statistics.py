"""Which of a few configurations is best, when each was trained with several seeds.

Two things are chance: the seed of a training, and the images that were drawn. Both are the same for
all that race, so what a seed or an image does to all alike cancels in a difference within the seed.
What is left is what a seed does to one configuration alone, and on which images two differ.

The model: whether configuration i survives on image m with seed s is the sum of a mean, an effect
of i with m, one of s, one of i with s, and one of i with s and m: the image flips. With n seeds and
M images the variance of a mean is that of the seeds / n + that of the images / M, in which flips
count once (variance components of two crossed factors; Searle, Casella and McCulloch, 1992).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.study.judge_noise import SEED_ALONE, SEED_COMMON, SEED_FLIPS
from regmix.evaluation.paired import PairedDifference

LEVEL = 0.05
"""How often, at most, a race may drop a configuration that is as good as the leader: half of it
after the second seed, a quarter after the third, and so on, so that all rounds keep it together."""
FIRST_LEVEL, FIRST_MARGIN = 0.001, 0.2
"""After one seed nothing is known of the noise between seeds: then only a difference beyond this
level and this size is enough: ten times what seeds differ by on digits (0.02). With 0.1, of six
equals whose seeds differ by 0.03 one would drop out in a quarter of races."""
STATED_FREEDOM = 4
"""Degrees of freedom of the noise that is stated where no seeds can be compared: another task may
have another one."""

Survivors = Mapping[int, Mapping[int, NDArray[np.bool_]]]
"""Configuration -> seed -> (images,): which images survive this training. Numbers of images may
differ: then the first ones are the same."""
Weights = Mapping[tuple[int, int], tuple[float, int]]
"""Configuration and seed -> its weight in an estimate, and images that it counts on."""


@dataclass(frozen=True)
class SeedNoise:
    """What a seed does, as variances of robust accuracy.

    alone: to a training's accuracy on very many images.
    flips: to a single image: divided by the number of images it is added to that.
    freedom: degrees of freedom that this is known with; 0 where it is stated, not seen.
    """

    alone: float
    flips: float
    freedom: float

    def deviation(self, images: int) -> float:
        """Return the standard deviation between seeds of an accuracy on so many images."""
        return float(np.sqrt(self.alone + self.flips / images))


@dataclass(frozen=True)
class Standing:
    """What is known of a configuration.

    interval: at 95 %, from seeds and images.
    best: probability that its true mean is the highest of all.
    gain: over the reference, within the seeds that both have.
    gain_interval: its interval, at 95 % for all configurations together.
    """

    seeds: int
    mean: float
    interval: tuple[float, float]
    best: float
    gain: float
    gain_interval: tuple[float, float]


@dataclass(frozen=True)
class Difference:
    """Of two configurations, within the seeds and on the images that both have.

    value: mean of the first minus that of the second.
    interval: at 95 %, from seeds and images.
    p: two-sided p-value of no difference.
    """

    value: float
    interval: tuple[float, float]
    p: float


@dataclass(frozen=True)
class _Estimates:
    """Several weighted sums of trainings, with what chance does to them.

    values: (K,)
    by_seeds: (K, K) covariance, known with `freedom` degrees of freedom.
    by_images: (K, K) covariance of what remains, from hundreds of images.
    """

    values: NDArray[np.float64]
    by_seeds: NDArray[np.float64]
    by_images: NDArray[np.float64]
    freedom: float

    def reach(self, level: float) -> float:
        """Return what the first of them exceeds its truth by with probability `level`."""
        return _reach(level, self.by_seeds[0, 0], self.by_images[0, 0], self.freedom)

    def p_value(self) -> float:
        """Return with which probability the first of them is so far from 0 where its truth is 0."""
        value = abs(float(self.values[0]))
        beyond = _tail(value, self.by_seeds[0, 0], self.by_images[0, 0], self.freedom)
        return min(1.0, 2 * beyond)


def seed_noise(survivors: Survivors) -> tuple[SeedNoise, SeedNoise]:
    """Return what a seed does to each configuration alone, and all that it does to one.

    The first is what least squares leave of trainings when each configuration and each seed has an
    effect of its own, so that configurations may lack seeds; the second what is left of
    configurations alone. Trainings of a seed move together, so that the second has fewer degrees
    of freedom than trainings: its squares are correlated by the squared correlation.
    """
    runs = [(name, seed) for name, seeds in survivors.items() for seed in seeds]
    images = min(len(survivors[name][seed]) for name, seed in runs)
    table = np.array([survivors[name][seed][:images] for name, seed in runs], dtype=float)
    by_name = np.array([[name == one for one in survivors] for name, _ in runs], dtype=float)
    seeds = sorted({seed for _, seed in runs})
    by_seed = np.array([[seed == one for one in seeds] for _, seed in runs], dtype=float)
    whole = _left_over(table, by_name)
    if not whole.freedom:
        own = SeedNoise(SEED_ALONE**2, SEED_FLIPS, 0)
        return own, SeedNoise(own.alone + SEED_COMMON**2, own.flips, 0)
    own = _left_over(table, np.hstack([by_name, by_seed]))
    if not own.freedom:
        return whole, whole
    common = 1 - (own.deviation(images) / max(whole.deviation(images), 1e-12)) ** 2
    alike = sum(len(trained) > 1 for trained in survivors.values())
    freedom = whole.freedom / (1 + (alike - 1) * max(0.0, common) ** 2)
    return own, SeedNoise(whole.alone, whole.flips, freedom)


def _left_over(table: NDArray[np.float64], design: NDArray[np.float64]) -> SeedNoise:
    """Return the variance between trainings that effects do not explain.

    Args:
        table: (trainings, images).
        design: (trainings, effects), of zeros and ones.
    """
    residual = np.eye(len(table)) - design @ np.linalg.pinv(design)
    freedom = len(table) - int(np.linalg.matrix_rank(design))
    if not freedom:
        return SeedNoise(0.0, 0.0, 0)
    images = table.shape[1]
    means = table.mean(axis=1, keepdims=True)
    flips = float(((residual @ (table - means)) ** 2).sum()) / freedom / max(images - 1, 1)
    between = float(((residual @ means) ** 2).sum()) / freedom
    return SeedNoise(max(0.0, between - flips / images), flips, freedom)


def eliminated(survivors: Survivors, reference: int) -> dict[int, str]:
    """Return which configurations can't be the best any more, and why in words.

    A configuration must lie behind the leader, within the seeds and on the images that both have,
    by more than seeds and images make, at the round's level divided by the number of ordered pairs
    (Bonferroni): of equals one leads by chance, so any two may meet here either way.

    Args:
        survivors: the images that survive, of those still in the race.
        reference: a configuration that is never dropped.
    """
    noise = seed_noise(survivors)
    base = _longest(survivors, reference)
    ahead = {name: _value(survivors, _gain(survivors, name, base)) for name in survivors}
    leader = max(ahead, key=lambda name: ahead[name])
    pairs = len(survivors) * (len(survivors) - 1)
    rounds = max(len(trained) for trained in survivors.values())
    dropped = {}
    for name in survivors.keys() - {leader, reference}:
        if not noise[1].freedom:
            reason = _far_behind(survivors, name, leader, FIRST_LEVEL / pairs)
        else:
            gap = _estimates(survivors, [_gain(survivors, leader, name)], noise)
            behind, margin = float(gap.values[0]), gap.reach(LEVEL / 2 ** (rounds - 1) / pairs)
            seeds = len(survivors[name])
            reason = (
                f"{behind:.3f} behind after {seeds} seed{'s' * (seeds > 1)}, on the same images: "
                f"beyond what seeds and images make ({margin:.3f})"
            ) * (behind > margin)
        if reason:
            dropped[name] = reason
    return dropped


def _far_behind(survivors: Survivors, name: int, leader: int, level: float) -> str:
    """Return why one training is enough to drop a configuration, '' where it isn't."""
    shared = survivors[name].keys() & survivors[leader].keys()
    if not shared:
        return ""
    one, other = (survivors[which][min(shared)] for which in (leader, name))
    images = min(len(one), len(other))
    one, other = one[:images], other[:images]
    found = PairedDifference(int((one & ~other).sum()), int((other & ~one).sum()), images)
    p = found.p_value / 2  # one-sided, since the leader leads
    if found.value <= FIRST_MARGIN or p >= level:
        return ""
    return (
        f"{found.value:.3f} behind after 1 seed: beyond the noise of seeds ({FIRST_MARGIN:.3f}), "
        f"and p = {p:.1g} on the same images"
    )


def standings(survivors: Survivors, reference: int, draws: int = 20000) -> dict[int, Standing]:
    """Return what is known of each configuration, those that were dropped too.

    A mean has the whole noise of its seeds. A gain has what seeds do to each alone, as far as both
    were trained with the same ones; images count by the covariance of what survives. With one seed
    each, what seeds do is stated as it was found on digits, with few degrees of freedom.
    Intervals of gains hold for all configurations together (Bonferroni): the winner is chosen by
    its gain, and of several equals one leads by chance.

    Args:
        survivors: the images that survive, of every configuration.
        reference: the configuration that gains are counted from.
        draws: number of draws for the probability.
    """
    noise, others = seed_noise(survivors), max(1, len(survivors) - 1)
    best = _best(survivors, reference, noise, draws)
    found = {}
    for name, trained in survivors.items():
        mean = _estimates(survivors, [_mean(survivors, name)], (noise[1], noise[1]))
        gain = _estimates(survivors, [_gain(survivors, name, reference)], noise)
        value, over = float(mean.values[0]), float(gain.values[0])
        half = mean.reach(0.025)
        reach = gain.reach(0.025 / others) if name != reference else 0.0
        found[name] = Standing(
            len(trained),
            value,
            (max(0.0, value - half), min(1.0, value + half)),
            best[name],
            over,
            (over - reach, over + reach),
        )
    return found


def difference(survivors: Survivors, one: int, other: int) -> Difference:
    """Return how far two configurations are apart, by the noise that all of them show.

    Args:
        survivors: the images that survive, of every configuration.
        one, other: two of them.
    """
    gap = _estimates(survivors, [_gain(survivors, one, other)], seed_noise(survivors))
    value, reach = float(gap.values[0]), gap.reach(0.025)
    return Difference(value, (value - reach, value + reach), gap.p_value())


def ranked(found: Mapping[int, Standing], gone: Iterable[int]) -> list[int]:
    """Return the configurations, the best first, those that dropped out last.

    They are ordered by their gains: a mean over other seeds or images tells less.
    """
    left = set(gone)
    return sorted(found, key=lambda name: (name in left, -found[name].gain, -found[name].mean))


def _best(
    survivors: Survivors, reference: int, noise: tuple[SeedNoise, SeedNoise], draws: int
) -> dict[int, float]:
    """Return configuration -> probability that its true mean is the highest.

    Differences to the one with most seeds are drawn around what was seen: what images do as a
    normal, what seeds do as Student's t.
    """
    names, base = list(survivors), _longest(survivors, reference)
    found = _estimates(survivors, [_gain(survivors, name, base) for name in names], noise)
    generator = np.random.default_rng(0)
    normal = generator.standard_normal((3, draws, len(names)))
    freedom = found.freedom
    scale = np.sqrt(freedom / generator.chisquare(freedom, size=(draws, 1)))
    spread = normal[0] @ _root(found.by_images) + scale * (normal[1] @ _root(found.by_seeds))
    # without the last term equals of no variance tie, and argmax takes the first of them
    first = (found.values + spread + 1e-6 * normal[2]).argmax(axis=1)
    return {name: float((first == k).mean()) for k, name in enumerate(names)}


def _longest(survivors: Survivors, reference: int) -> int:
    """Return the configuration with most seeds, the reference where it has as many."""
    return max(survivors, key=lambda name: (len(survivors[name]), name == reference))


def _mean(survivors: Survivors, name: int) -> Weights:
    trained = survivors[name]
    return {(name, seed): (1 / len(trained), len(bits)) for seed, bits in trained.items()}


def _gain(survivors: Survivors, one: int, other: int) -> Weights:
    """Return the difference of two within the seeds that both have; of all where they share none.

    Within a seed it counts on the images that both have.
    """
    if one == other:
        return {}
    first, second = survivors[one], survivors[other]
    shared = sorted(first.keys() & second.keys())
    if not shared:
        less = {key: (-weight, m) for key, (weight, m) in _mean(survivors, other).items()}
        return {**_mean(survivors, one), **less}
    images = {seed: min(len(first[seed]), len(second[seed])) for seed in shared}
    return {
        (name, seed): (sign / len(shared), images[seed])
        for name, sign in ((one, 1), (other, -1))
        for seed in shared
    }


def _value(survivors: Survivors, weights: Weights) -> float:
    return sum(
        weight * float(survivors[name][seed][:images].mean())
        for (name, seed), (weight, images) in weights.items()
    )


def _estimates(
    survivors: Survivors, sums: Sequence[Weights], noise: tuple[SeedNoise, SeedNoise]
) -> _Estimates:
    """Return weighted sums of trainings with their covariances.

    Args:
        survivors: the images that survive.
        sums: what is estimated.
        noise: of one configuration alone and the whole, as `seed_noise` returns them.
    """
    own, whole = noise
    runs = sorted({run for weights in sums for run in weights})
    weight, images = np.zeros((2, len(sums), len(runs)))
    for k, weights in enumerate(sums):
        for run, (share, count) in weights.items():
            weight[k, runs.index(run)], images[k, runs.index(run)] = share, count
    # of two means over the first images of a training, the covariance is over the more of them
    shared = np.maximum(np.maximum(images[:, None], images[None, :]), 1)
    flips = np.einsum("ir,jr,ijr->ij", weight, weight, own.flips / shared)
    seeds = sorted({seed for _, seed in runs})
    of_seed = np.array([[float(seed == one) for _, seed in runs] for one in seeds])
    left = weight @ of_seed.reshape(len(seeds), len(runs)).T  # nothing where seeds are shared
    common = max(0.0, whole.alone - own.alone)
    by_seeds = own.alone * weight @ weight.T + flips + common * left @ left.T
    freedom = own.freedom if np.allclose(left, 0) else min(own.freedom, whole.freedom)
    return _Estimates(
        np.array([_value(survivors, weights) for weights in sums]),
        by_seeds,
        _by_images(survivors, sums) - flips,
        freedom or STATED_FREEDOM,
    )


def _by_images(survivors: Survivors, sums: Sequence[Weights]) -> NDArray[np.float64]:
    """Return (K, K): what other images would do, where some sums count on more images."""
    counts = sorted({images for weights in sums for _, images in weights.values()})
    parts = np.zeros((len(sums), max(counts, default=1)))
    for part, weights in zip(parts, sums, strict=True):
        for (name, seed), (weight, images) in weights.items():
            part[:images] += weight / images * survivors[name][seed][:images]
    covariance = np.zeros((len(sums), len(sums)))
    for low, high in zip([0, *counts], counts, strict=False):
        piece = parts[:, low:high]
        if high - low > 1:
            covariance += (high - low) * np.cov(piece).reshape(covariance.shape)
    return covariance


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a matrix R whose R^T R is the covariance, negative variances taken for none."""
    values, vectors = np.linalg.eigh(covariance)
    found: NDArray[np.float64] = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    return found


def _reach(level: float, by_seeds: float, by_images: float, freedom: float) -> float:
    """Return q with P(t sqrt(by_seeds) + z sqrt(by_images) > q) = level.

    The sum of Student's t and a normal (Behrens and Fisher), integrated over the chi-squared
    variable beneath t; a negative variance of images counts as none.
    """
    from scipy.optimize import brentq
    from scipy.special import ndtri, stdtrit

    by_images = max(0.0, by_images)
    if by_seeds + by_images <= 0:
        return 0.0
    # either part alone exceeds its own quantile of half the level so often
    most = np.sqrt(by_images) * ndtri(level / 2) + np.sqrt(by_seeds) * stdtrit(freedom, level / 2)

    def excess(q: float) -> float:
        return _tail(q, by_seeds, by_images, freedom) - level

    return float(brentq(excess, 0.0, -1.01 * float(most)))


def _tail(q: float, by_seeds: float, by_images: float, freedom: float) -> float:
    """Return P(t sqrt(by_seeds) + z sqrt(by_images) > q), see `_reach`."""
    from scipy.special import ndtr

    weights, scale = _beneath(freedom)
    deviation = np.sqrt(by_seeds * scale**2 + max(0.0, by_images))
    if not deviation.any():
        return 0.0 if q > 0 else 0.5
    return float((weights * ndtr(-q / deviation)).sum())


@cache
def _beneath(freedom: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes of an integral: weights, and the scales of the normals that make up t."""
    from scipy.special import gammaincinv

    nodes, weights = np.polynomial.legendre.leggauss(100)
    v = (nodes + 1) / 2
    # probabilities v ** 6 put nodes where t has its tails
    return weights / 2 * 6 * v**5, np.sqrt(freedom / 2 / gammaincinv(freedom / 2, v**6))
