"""The benchmark of `--from`, on curves of known optimum."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.transfer import Inverted, search, searched, sources
from benchmarks.ways import usual
from tests.test_benchmark_search import Bowl


def test_a_study_of_the_same_task_shows_its_best_at_once():
    way = usual()[-1]
    source = searched(way, Bowl(), 100)
    cold = [search(way, Bowl(), seed, None).last for seed in range(4)]
    warm = [search(way, Bowl(), seed, source).last for seed in range(4)]
    assert np.mean(warm, axis=0)[0] > np.mean(cold, axis=0)[0] + 0.005
    assert min(last[-1] for last in warm) > 0.88  # of 0.9


def test_an_inverted_task_has_its_best_where_the_other_has_its_worst():
    params = {"x": 0.3, "depth": 2}
    own, inverted = Bowl().trained(params), Inverted(Bowl()).trained(params)
    assert inverted.worth == pytest.approx(1 - own.worth)
    assert np.allclose(np.array(inverted.curve, float), 1 - np.array(own.curve, float))


def test_sources_are_the_most_and_the_least_alike_by_rank():
    ends = {
        "a": lambda cube: cube[:, 0],
        "b": lambda cube: np.exp(cube[:, 0]),
        "c": lambda cube: -cube[:, 0],
        "d": lambda cube: np.abs(cube[:, 0] - 0.6),
    }
    surrogate = SimpleNamespace(
        space=Bowl().space, final=lambda task, cube: ends[task](np.asarray(cube))
    )
    found = sources(surrogate, list(ends))
    assert found["a"]["related"] == ("b", pytest.approx(1.0))
    assert found["a"]["unlike"] == ("c", pytest.approx(-1.0))
    assert found["a"]["inverted"] == ("b", pytest.approx(-1.0))
    assert math.isclose(found["c"]["unlike"][1], -1.0)
