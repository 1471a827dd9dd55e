"""Which of a few configurations is best, when each was trained with several seeds.

Two things are chance: the seed of a training, and the images that were drawn. Images are the same
for all, so what makes one image hard for all cancels in a difference; seeds do not cancel.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.05
"""How often, at most, a race may drop a configuration that is as good as the leader."""
FIRST_LEVEL, FIRST_MARGIN = 0.001, 0.1
"""After one seed nothing is known of the noise between seeds: then only a difference beyond this
level and this size is enough: five times what seeds differ by on digits (0.02)."""

Survivors = Mapping[int, NDArray[np.bool_]]
"""Configuration -> (seeds, images): which images survive each of its trainings."""


@dataclass(frozen=True)
class Standing:
    """What is known of a configuration.

    interval: at 95 %, from seeds and images.
    best: probability that its true mean is the highest of all.
    gain: over the reference, with its interval at 95 %.
    """

    seeds: int
    mean: float
    interval: tuple[float, float]
    best: float
    gain: float
    gain_interval: tuple[float, float]


def seed_noise(survivors: Survivors) -> tuple[float, int]:
    """Return the standard deviation between seeds, pooled, and its degrees of freedom."""
    squares, freedom = 0.0, 0
    for runs in survivors.values():
        means = runs.mean(axis=1)
        squares += float(((means - means.mean()) ** 2).sum())
        freedom += len(means) - 1
    return (float(np.sqrt(squares / freedom)), freedom) if freedom else (0.0, 0)


def p_value(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the p-value of `one` surviving on no fewer images than `other`, one-sided.

    The exact sign test over images (McNemar, 1947, where there is one seed each): images count
    on which the two differ, summed over the seeds that both have.
    """
    from scipy.stats import binomtest

    seeds = min(len(one), len(other))
    difference = other[:seeds].sum(axis=0).astype(int) - one[:seeds].sum(axis=0)
    against, both = int((difference > 0).sum()), int((difference != 0).sum())
    return float(binomtest(against, both, 0.5, alternative="greater").pvalue) if both else 1.0


def eliminated(survivors: Survivors, reference: int) -> dict[int, str]:
    """Return which configurations can't be the best any more, and why in words.

    A configuration must lie behind the leader on the same images, and by more than seeds make;
    both at the level divided by the number of ordered pairs (Bonferroni): of equals one leads by
    chance, so any two may meet here either way.

    Args:
        survivors: the images that survive, of those still in the race.
        reference: a configuration that is never dropped.
    """
    from scipy.stats import t as student

    means = {name: float(runs.mean()) for name, runs in survivors.items()}
    leader = max(means, key=lambda name: means[name])
    noise, freedom = seed_noise(survivors)
    pairs = len(survivors) * (len(survivors) - 1)
    dropped = {}
    for name in survivors.keys() - {leader, reference}:
        gap = means[leader] - means[name]
        if freedom:
            level = LEVEL / pairs
            scale = np.sqrt(1 / len(survivors[leader]) + 1 / len(survivors[name]))
            margin = float(student.ppf(1 - level, freedom)) * noise * float(scale)
        else:
            level, margin = FIRST_LEVEL / pairs, FIRST_MARGIN
        p = p_value(survivors[name], survivors[leader])
        if gap > margin and p < level:
            seeds = len(survivors[name])
            dropped[name] = (
                f"{gap:.3f} behind after {seeds} seed{'s' * (seeds > 1)}: beyond the noise of "
                f"seeds ({margin:.3f}), and p = {p:.1g} on the same images"
            )
    return dropped


def standings(survivors: Survivors, reference: int, draws: int = 20000) -> dict[int, Standing]:
    """Return what is known of each configuration, those that were dropped too.

    A mean over seeds and images is drawn as Student's t around what was seen: its scale is the
    noise between seeds, pooled over all, divided by the configuration's seeds, and the
    covariance over images of the share of seeds that survive, divided by the images. With one
    seed each there is no noise between seeds to be seen, and the intervals are too narrow.

    Args:
        survivors: the images that survive, of every configuration.
        reference: the configuration that gains are counted from.
        draws: number of draws for the probability.
    """
    names = list(survivors)
    runs = np.array([survivors[name].mean(axis=0) for name in names])  # (configurations, images)
    means, images = runs.mean(axis=1), runs.shape[1]
    noise, freedom = seed_noise(survivors)
    seeds = np.array([len(survivors[name]) for name in names])
    covariance = np.atleast_2d(np.cov(runs)) / images + np.diag(noise**2 / seeds)
    generator = np.random.default_rng(0)
    spread = _draw(generator, covariance, freedom, draws)
    best = (means + spread).argmax(axis=1)
    place, width = names.index(reference), _quantile(freedom)
    found = {}
    for k, name in enumerate(names):
        half = width * float(np.sqrt(covariance[k, k]))
        contrast = covariance[k, k] + covariance[place, place] - 2 * covariance[k, place]
        gain, reach = float(means[k] - means[place]), width * float(np.sqrt(max(contrast, 0)))
        found[name] = Standing(
            int(seeds[k]),
            float(means[k]),
            (max(0.0, float(means[k]) - half), min(1.0, float(means[k]) + half)),
            float((best == k).mean()),
            gain if k != place else 0.0,
            (gain - reach, gain + reach) if k != place else (0.0, 0.0),
        )
    return found


def _draw(
    generator: np.random.Generator, covariance: NDArray[np.float64], freedom: int, draws: int
) -> NDArray[np.float64]:
    """Return (draws, configurations) of a multivariate t; a normal where freedom is 0."""
    # without it equal configurations of no variance tie, and argmax takes the first of them
    jitter = 1e-12 * np.eye(len(covariance))
    normal = generator.multivariate_normal(
        np.zeros(len(covariance)), covariance + jitter, size=draws, method="cholesky"
    )
    if not freedom:
        return normal
    scale: NDArray[np.float64] = np.sqrt(freedom / generator.chisquare(freedom, size=(draws, 1)))
    return normal * scale


def _quantile(freedom: int) -> float:
    from scipy.stats import norm, t

    return float(t.ppf(0.975, freedom) if freedom else norm.ppf(0.975))
