"""Optuna's samplers by name, seeded so that a study continued later never repeats itself."""

from collections.abc import Callable

import numpy as np
import optuna
from optuna.samplers import BaseSampler

_SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
}


def names() -> tuple[str, ...]:
    """Return the samplers that there are."""
    return tuple(_SAMPLERS)


def build(name: str, seed: int, number: int) -> BaseSampler:
    """Build the sampler for trial `number`.

    Its random stream depends on seed and number alone. One stream for the whole study would
    start again whenever a killed search goes on, and propose its first trials a second time.
    """
    stream = np.random.SeedSequence([seed, number]).generate_state(1)[0]
    return _SAMPLERS[name](int(stream))
