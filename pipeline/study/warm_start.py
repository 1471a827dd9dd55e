"""Exported configurations as a study's first trials."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.problem.exported import Exported
from pipeline.problem.problem import SearchProblem
from pipeline.study import optuna_private
from pipeline.study.records import StudyRecord
from regmix.errors import InputError, shown
from regmix.plugins import Plugins
from regmix.ranges import Value


def enqueue(
    study: StudyRecord, problem: SearchProblem, files: Sequence[Path], plugins: Plugins | None
) -> None:
    """Put the configurations of these files into the study, each once.

    Args:
        study: the study.
        problem: the study's problem.
        files: exported configurations.
        plugins: variants outside of the tool.

    Raises:
        InputError: where a file is no exported one, or its values lie outside the space.
    """
    wanted = [(path, _params(problem, path, plugins)) for path in files]
    given = [optuna_private.enqueued_params(trial.frozen) for trial in study.trials()]
    for path, params in wanted:
        if params not in given:
            study.enqueue(params, f"from {path.name}")
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
