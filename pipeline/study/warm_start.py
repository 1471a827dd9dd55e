"""Exported configurations as a study's first trials."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.problem.exported import Exported
from regmix.errors import InputError
from regmix.ranges import Value

if TYPE_CHECKING:
    from optuna.study import Study

    from pipeline.problem.problem import SearchProblem


def enqueue(study: "Study", question: "SearchProblem", files: Sequence[Path]) -> None:
    """Put the configurations of these files into the study, each once.

    Raises:
        InputError: where a file is no exported one, or its values lie outside the space.
    """
    wanted = [(path, _params(question, path)) for path in files]
    known = study.get_trials(deepcopy=False)
    given = [t.system_attrs.get("fixed_params", t.params) for t in known]
    for path, params in wanted:
        if params not in given:
            study.enqueue_trial(params, user_attrs={"origin": f"from {path.name}"})
            given.append(params)


def _params(question: "SearchProblem", path: Path) -> dict[str, Value]:
    """Return the file's values of what the study searches."""
    flat, params = Exported.read(path).config.flat(), dict[str, Value]()
    for name, range_ in question.space.ranges.items():
        if name not in flat:
            raise InputError(
                f"--enqueue {path}: has no {name}, which {question.space.name} searches"
            )
        if range_.clip(flat[name]) != flat[name]:
            raise InputError(
                f"--enqueue {path}: {name} is {flat[name]}, outside the range of "
                f"{question.space.name}; widen it in a copy of {question.space.place}"
            )
        params[name] = flat[name]
    return params
