"""Exported configurations, and the best of earlier studies, as a study's first trials."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from pipeline.problem.problem import SearchProblem
from pipeline.problem.space import SearchSpace
from pipeline.study import optuna_private
from pipeline.study.records import StudyRecord
from regmix.errors import InputError, shown
from regmix.exported.file import Exported
from regmix.plugins import Plugins
from regmix.ranges import Value


def read(
    problem: SearchProblem, files: Sequence[Path], plugins: Plugins | None
) -> dict[Path, dict[str, Value]]:
    """Return file -> its values of what the study searches.

    Args:
        problem: the study's problem.
        files: exported configurations.
        plugins: variants outside of the tool.

    Raises:
        InputError: where a file is no exported one, or its values lie outside the space.
    """
    return {path: _params(problem, path, plugins) for path in files}


def enqueue(study: StudyRecord, wanted: Mapping[Path, Mapping[str, Value]]) -> None:
    """Put the configurations that `read` returned into the study, each once."""
    given = [optuna_private.enqueued_params(trial.frozen) for trial in study.trials()]
    for path, params in wanted.items():
        if params not in given:
            study.enqueue(params, f"from {path.name}")
            given.append(dict(params))


def enqueue_sources(study: StudyRecord, space: SearchSpace) -> None:
    """Put the best few of the study's sources into it, in turn over the sources, each once.

    What lies outside of its range is moved to the nearest.
    """
    given = [optuna_private.enqueued_params(trial.frozen) for trial in study.trials()]
    sources = study.sources
    most = max((len(source.first) for source in sources), default=0)
    for turn, source in product(range(most), sources):
        if turn >= len(source.first):
            continue
        number, values = source.first[turn]
        own = dict(zip(source.names, values, strict=True))
        params = {name: range_.nearest(own[name]) for name, range_ in space.ranges.items()}
        moved = {name: (own[name], near) for name, near in params.items() if own[name] != near}
        if params not in given:
            study.enqueue(params, f"from {source.study} trial {number}", moved)
            given.append(params)


def _params(problem: SearchProblem, path: Path, plugins: Plugins | None) -> dict[str, Value]:
    """Return the file's values of what the study searches."""
    flat, params = Exported.read(path, plugins).config.flat(), dict[str, Value]()
    space = problem.space
    for name, range_ in space.ranges.items():
        if name not in flat:
            raise InputError(f"--enqueue {path}: has no {name}, which {space.name} searches")
        if range_.nearest(flat[name]) != flat[name]:
            raise InputError(
                f"--enqueue {path}: {name} is {shown(flat[name])}, outside the range of "
                f"{space.name}; widen it in a copy of {space.source}"
            )
        params[name] = flat[name]
    return params
