"""A study from its question to its end: begins it, continues it, or says that it is complete."""

import contextlib
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import pruners
from pipeline.driver import session
from pipeline.driver.request import Request
from pipeline.problem.exported import load_part, versions
from pipeline.problem.problem import SearchProblem
from pipeline.study.budget import TimeBudget
from pipeline.study.storage import exclusive, is_database, open_storage, study_folder
from pipeline.study.warm_start import enqueue
from pipeline.trial_files.disk import files_of, tidy
from regmix.errors import InputError
from regmix.images import Images

if TYPE_CHECKING:
    from optuna.study import Study

    from pipeline.study.controller import StudyController

UNLIMITED = 10**6  # trials, where a budget in time ends the study


def run_study(request: Request) -> int:
    """Begin the study, continue it, or say that it is complete.

    Returns:
        0 when the study is complete, 1 when its first trials all fail, 130 when interrupted.

    Raises:
        InputError: where the study belongs to another question, data set or process.
    """
    place = study_folder(request.runs, request.study)
    with contextlib.ExitStack() as held:
        held.enter_context(exclusive(place, request.storage))
        study = _open(request, place)
        images = _load_images(request.question)
        _hold(study, "data", {"fingerprint": images.fingerprint()})
        bridge = _bridge(request, study)
        bridge.recover()
        files = files_of(study, place)
        tidy(study, files, bridge.kept)
        bridge.begin()
        enqueue(study, request.question, request.enqueue)
        if is_database(request.storage):
            held.close()  # others may come now
        if not bridge.shared and (not bridge.remaining() or not bridge.clock.open):
            return session.complete(request, bridge)
        ended, begun = _progress(study)
        if ended or begun:
            print(f"continuing {request.study}: {ended} trials have ended, {begun} go on")
        return session.run(request, bridge, images, files)


def _progress(study: "Study") -> tuple[int, int]:
    """Return how many trials have ended, and how many were begun and wait to go on."""
    everything = study.get_trials(deepcopy=False)
    begun = [t for t in everything if not t.state.is_finished() and "config" in t.user_attrs]
    return sum(trial.state.is_finished() for trial in everything), len(begun)


def _load_images(question: SearchProblem) -> Images:
    """Load the training part, and prove that it can be split as the recipe says.

    The test part stays unread: a search can't learn from it.
    """
    config = question.config({})
    images = load_part(config, "train")
    config.split(images)
    return images


def _open(request: Request, place: Path) -> "Study":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # it beats for itself within its own loop alone; `pipeline.study.heartbeat` does here
    warnings.filterwarnings("ignore", message="Heartbeat of storage")
    storage = open_storage(request.storage, place, beat=request.heartbeat)
    try:
        study = optuna.load_study(study_name=request.study, storage=storage)
    except KeyError:
        study = optuna.create_study(study_name=request.study, storage=storage, direction="maximize")
    _hold(study, "question", request.question.facts())
    _hold(study, "rules", request.rules.facts())
    _hold(study, "store", {"checkpoints": request.checkpoints})
    if "versions" not in study.user_attrs:
        study.set_user_attr("versions", versions())
    return study


def _hold(study: "Study", key: str, facts: dict[str, Any]) -> None:
    """Store what a study is about, or prove that it is still the same.

    Raises:
        InputError: naming what differs.
    """
    known = study.user_attrs.get(key)
    if known is None:
        study.set_user_attr(key, facts)
        return
    names = [name for name in {**known, **facts} if known.get(name) != facts.get(name)]
    if names:
        differ = "; ".join(f"{n} was {known.get(n)} and is {facts.get(n)}" for n in names)
        raise InputError(
            f"--study {study.study_name}: was begun with another {key} ({differ}); undo the "
            "change, or choose a new name by --study"
        )


def _bridge(request: Request, study: "Study") -> "StudyController":
    """Build the bridge; what an earlier session asked for holds until something else is asked."""
    from pipeline.samplers._sequence import grid
    from pipeline.study.controller import StudyController
    from pipeline.study.heartbeat import Heartbeat

    asked = {"trials": request.trials, "budget": request.budget}
    known = study.user_attrs.get("extent", {})
    extent = {**known, **{name: value for name, value in asked.items() if value}}
    if extent != known:
        study.set_user_attr("extent", extent)
    default = UNLIMITED if extent.get("budget") else request.question.recipe.trials
    if request.sampler == "grid":
        default = 1 + grid(request.question.space.ranges, request.seed).size
    return StudyController(
        study,
        request.question,
        pruners.build(_pruner(request), request.question.config({}).epochs),
        request.sampler,
        request.seed,
        trials=extent.get("trials", default),
        clock=TimeBudget(
            budget=extent.get("budget", float("inf")),
            before=float(study.user_attrs.get("seconds", 0.0)),
            begun=session.BEGUN,
        ),
        probes=request.probes,
        heartbeat=Heartbeat(study, request.heartbeat) if is_database(request.storage) else None,
        min_clean=request.rules.min_clean,
        front=request.rules.front,
    )


def _pruner(request: Request) -> str:
    """Return the pruner's name; where the front is sought, it spares what is on it."""
    outer, plus, inner = request.pruner.rpartition("+")
    if request.rules.front and "dominated" not in request.pruner:
        return f"{outer}{plus}dominated+{inner}"
    return request.pruner
