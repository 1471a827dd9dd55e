"""Exported configurations as a study's first trials."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.problem.exported import Exported
from pipeline.problem.problem import SearchProblem
from pipeline.study import optuna_private
from pipeline.study.records import StudyRecord
from regmix.errors import InputError, shown
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
