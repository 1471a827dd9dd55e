"""A study from its problem to its end: begins it, continues it, or says that it is complete."""

import contextlib
from pathlib import Path

from pipeline import pruners, samplers
from pipeline.driver import session
from pipeline.driver.request import SearchRequest
from pipeline.problem.environment import versions
from pipeline.problem.exported import load_part
from pipeline.problem.plugin_folder import check_plugins
from pipeline.problem.problem import SearchProblem
from pipeline.samplers.grid import grid_of
from pipeline.study.budget import TimeBudget
from pipeline.study.controller import StudyController
from pipeline.study.heartbeat import Heartbeat
from pipeline.study.queue import SampledQueue
from pipeline.study.records import StudyRecord
from pipeline.study.retention import Retention, files_of
from pipeline.study.storage import exclusive, is_database, open_storage, open_study, study_folder
from pipeline.study.warm_start import enqueue
from regmix.images import Images


def run_study(request: SearchRequest) -> int:
    """Begin the study, continue it, or say that it is complete.

    Returns:
        0 when the study is complete, 1 when its first trials all fail, 130 when interrupted.

    Raises:
        InputError: where the study belongs to another problem, data set or process.
    """
    place = study_folder(request.runs, request.study)
    with contextlib.ExitStack() as held:
        held.enter_context(exclusive(place, request.storage))
        study = _open(request, place)
        images = _load_images(request.problem)
        study.hold("data", {"fingerprint": images.fingerprint()})
        controller = _controller(request, study)
        controller.requeue_orphans()
        retention = Retention(study, files_of(study, place))
        retention.apply()
        controller.enqueue_default(request.problem.default())
        enqueue(study, request.problem, request.enqueue, request.plugins)
        if is_database(request.storage):
            held.close()  # others may come now
        done = controller.queue.empty() or not controller.budget.has_time
        if done and not controller.shared:
            return session.complete(request, controller)
        _say_progress(study)
        return session.run(request, controller, images, retention)


def _say_progress(study: StudyRecord) -> None:
    """Say how many trials have ended, and how many were begun and wait to go on."""
    trials = study.trials()
    ended = sum(trial.ended for trial in trials)
    begun = sum(trial.begun and not trial.ended for trial in trials)
    if ended or begun:
        print(f"continuing {study.name}: {ended} trials have ended, {begun} go on")


def _load_images(problem: SearchProblem) -> Images:
    """Load the training part, and prove that problem and images fit each other.

    The test part stays unread: a search can't learn from it.
    """
    images = load_part(problem.config({}), "train")
    problem.check_fit(images)
    return images


def _open(request: SearchRequest, place: Path) -> StudyRecord:
    storage = open_storage(request.storage, place, beat=request.heartbeat)
    study = open_study(request.study, storage)
    study.begin_study(versions())
    plugins = request.plugin_digests(tuple(pruners.split(_pruner(request))))
    check_plugins(study.plugins, request.plugins, f"--study {request.study}")
    study.hold("problem", request.problem.identity())
    study.hold("rules", request.rules.identity())
    study.hold("checkpoints", {"url": request.checkpoints})
    study.hold("plugins", plugins)
    return study


def _controller(request: SearchRequest, study: StudyRecord) -> StudyController:
    """Build the controller; what an earlier session asked for holds until it is asked anew."""
    extent = study.set_extent(request.trials, request.budget)
    problem, budget = request.problem, extent.get("budget", float("inf"))
    return StudyController(
        study.study,
        problem,
        pruners.build(_pruner(request), problem.config({}).epochs),
        samplers.factory(request.sampler, request.seed, problem.space, front=request.rules.front),
        SampledQueue(study.study, _total(request, extent.get("trials"), "budget" in extent)),
        TimeBudget(budget, before=study.seconds, begun=session.PROCESS_START),
        control_every=request.control_every,
        min_clean=request.rules.min_clean,
        heartbeat=_heartbeat(request, study),
    )


def _total(request: SearchRequest, trials: float | None, timed: bool) -> int | None:
    """Return the number of trials; None where time alone ends the study."""
    if trials is not None:
        return int(trials)
    if request.sampler == "grid":
        return 1 + grid_of(request.problem.space.ranges, request.seed).size
    return None if timed else request.problem.recipe.trials


def _heartbeat(request: SearchRequest, study: StudyRecord) -> Heartbeat | None:
    if not is_database(request.storage):
        return None
    return Heartbeat(study.study, request.heartbeat)


def _pruner(request: SearchRequest) -> str:
    """Return the pruner's specification, with `dominated` added for a search of the front."""
    outer, plus, inner = request.pruner.rpartition("+")
    if request.rules.front and "dominated" not in request.pruner:
        return f"{outer}{plus}dominated+{inner}"
    return request.pruner
