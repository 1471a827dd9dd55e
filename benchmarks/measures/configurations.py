"""Configurations that the judge is tried on, drawn from two spaces: the same each time."""

from typing import Any

from regmix.config import TrainConfig

SPACES = ("wamr", "regmix")
Point = tuple[str, dict[str, Any]]  # space, parameters


def drawn(count: int, recipe: str = "digits") -> list[Point]:
    """Return points of the two spaces in turn.

    Args:
        count: number of points.
        recipe: recipe whose task they are of.
    """
    from optuna import create_study, logging
    from optuna.samplers import RandomSampler

    from pipeline.problem.problem import SearchProblem

    logging.set_verbosity(logging.ERROR)
    spaces = [SearchProblem.load(space, recipe, {}).space for space in SPACES]
    studies = [create_study(sampler=RandomSampler(seed=seed)) for seed in range(len(SPACES))]
    points = []
    for number in range(count):
        which = number % len(SPACES)
        points.append((SPACES[which], dict(spaces[which].suggest(studies[which].ask()))))
    return points


def config(point: Point, recipe: str = "digits", **changes: object) -> TrainConfig:
    """Return the run of a point, with some values changed."""
    from pipeline.problem.problem import SearchProblem

    space, params = point
    flat = SearchProblem.load(space, recipe, {}).config(params).flat()
    return TrainConfig.from_flat({**flat, **changes})
