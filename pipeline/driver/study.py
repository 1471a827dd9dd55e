"""A study from its problem to its end: begins it, continues it, or says that it is complete."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

from pipeline import pruners, samplers
from pipeline.base.narration import tell
from pipeline.driver import finals, session, sources
from pipeline.driver.plan import say_plan
from pipeline.driver.request import SearchRequest, warn_of_bf16
from pipeline.driver.session import SessionPlan
from pipeline.execution.ray_cluster import ClusterRequest, check_answers
from pipeline.execution.rehearsing import rehearsed
from pipeline.forecast.outlook import UntilNoise
from pipeline.problem.environment import versions
from pipeline.problem.exported import load_part
from pipeline.problem.plugin_folder import check_plugins
from pipeline.problem.problem import SearchProblem
from pipeline.race import share
from pipeline.samplers.grid import grid_of
from pipeline.study import failures, warm_start
from pipeline.study.budget import Pace, TimeBudget
from pipeline.study.contracts import SamplerFactory
from pipeline.study.controller import StudyController
from pipeline.study.copied_study import CopiedStudy
from pipeline.study.effort import Trainings
from pipeline.study.folder_owner import own, prove_free, prove_owner
from pipeline.study.heartbeat import Heartbeat
from pipeline.study.queue import SampledQueue
from pipeline.study.records import StudyRecord
from pipeline.study.retention import Retention, files_at, files_of
from pipeline.study.storage import (
    exclusive,
    existing_study,
    is_database,
    open_storage,
    open_study,
    study_folder,
)
from regmix.images import Images, Split
from regmix.ranges import Value

_RECENT = 12  # trials whose epochs say how long a trial takes, until this session knows it


@dataclass(frozen=True)
class _Proved:
    """What a study needs, read and proved before it is made.

    data: images to train on and to compare by.
    identity: identity of the training part that they are of.
    enqueued: file -> values of a first trial.
    copies: of the studies that it begins from; none for a study that has begun.
    """

    data: Split
    identity: Mapping[str, Any]
    enqueued: Mapping[Path, Mapping[str, Value]]
    copies: Sequence[CopiedStudy]


@dataclass(frozen=True)
class _Begun:
    """A study that is there, and what runs it."""

    study: StudyRecord
    controller: StudyController
    retention: Retention


def run_study(request: SearchRequest) -> int:
    """Begin the study, continue it, or say that it is complete.

    A new study is made when all that could be refused is proved and Ray is up.

    Returns:
        0 when the study has an answer, 1 when no trial ended well, 130 when interrupted.

    Raises:
        InputError: where something is wrong, or the study belongs to another problem, data set or
            process.
    """
    place = study_folder(request.runs, request.study)
    check_answers(request.address)
    with contextlib.ExitStack() as stack, contextlib.ExitStack() as held:
        claim = held.enter_context(exclusive(place, request.storage))
        study = _existing(request, place)
        claim.made = study is not None
        raced = request.confirm and finals.was_begun(request, study)
        proved = _prove(request, study)
        plan = _plan(request, proved.data)
        begun = None if study is None else _begin(request, study, proved, place)
        ray: Callable[[], contextlib.AbstractContextManager[session.Session]]
        if begun is not None and _done(begun):
            code, ray = session.complete(request, begun.controller), partial(session.started, plan)
        else:
            _say_plan(request, begun.study if begun else None, place, proved.copies)
            running = stack.enter_context(_started(request, plan, rehearse=begun is None))
            ray = partial(_running, running)
            if begun is None:
                storage = open_storage(request.storage, place, beat=request.heartbeat)
                study, claim.made = open_study(request.study, storage), True
                begun = _begin(request, study, proved, place)
            if is_database(request.storage):
                held.close()  # others may come now
            _say_begin(request, begun.study)
            code = session.run(request, begun.controller, begun.retention, running)
        if code or not request.confirm:
            return code
        code = finals.race_best(request, begun.controller, ray, begun=raced)
        session.say_report(request)
        return code


@contextlib.contextmanager
def _started(
    request: SearchRequest, plan: SessionPlan, *, rehearse: bool
) -> Iterator[session.Session]:
    """Start Ray; rehearse a step of each network meanwhile, where nothing has trained yet."""
    with contextlib.ExitStack() as stack:
        rehearsal = None
        if rehearse:
            builds = request.problem.builds()
            rehearsal = stack.enter_context(rehearsed(builds, plan.data, request.plugins))
        running = stack.enter_context(session.started(plan))
        if rehearsal is not None:
            rehearsal.check()
        yield running


@contextlib.contextmanager
def _running(known: session.Session) -> Iterator[session.Session]:
    """Return a session whose Ray is up; it ends later."""
    yield known


def _plan(request: SearchRequest, data: Split) -> SessionPlan:
    """Return how the sessions of a search run its trials, and its race."""
    cluster = ClusterRequest(
        request.address, request.concurrency, request.gpus_per_trial, request.mps
    )
    return SessionPlan(
        cluster,
        data,
        request.plugins,
        request.view,
        request.rules.deterministic,
        request.checkpoint_seconds,
    )


def _done(begun: _Begun) -> bool:
    controller = begun.controller
    over = controller.queue.empty() or controller.hopeless or not controller.has_room
    return over and not controller.shared


def _say_plan(
    request: SearchRequest,
    study: StudyRecord | None,
    place: Path,
    copies: Sequence[CopiedStudy],
) -> None:
    """Say what is going to be done, before Ray starts."""
    typed = {name: value for name, value in _typed(request).items() if value is not None}
    if study is None or not study.exists:
        say_plan(request, _limits(request, typed), place, Pace(), copies)
    else:
        say_plan(request, _limits(request, {**study.asked, **typed}), place, _recent_pace(study))


def _recent_pace(study: StudyRecord) -> Pace:
    return Pace.of(one for trial in study.trials()[-_RECENT:] for one in trial.epochs.values())


def _say_begin(request: SearchRequest, study: StudyRecord) -> None:
    """Warn of bf16, and say how many trials have ended, and how many were begun and go on."""
    warn_of_bf16(
        request.problem.may_be("precision", "bf16"),
        elsewhere=bool(request.gpus_per_trial) or request.address is not None,
    )
    trials = study.trials()
    ended = sum(trial.ended for trial in trials)
    begun = sum(trial.begun and not trial.ended for trial in trials)
    said = [f"{ended} trial{' has' if ended == 1 else 's have'} ended"] if ended else []
    said += [f"{begun} go{'es' * (begun == 1)} on"] if begun else []
    if said:
        tell(f"continuing {study.name}: {', '.join(said)}")


def _existing(request: SearchRequest, place: Path) -> StudyRecord | None:
    """Load the study if it is there, and compare what may not change under its name."""
    study = existing_study(request.study, request.storage, place, request.heartbeat)
    if study is None or not study.exists:
        files = files_at(request.study, place, request.checkpoints)
        prove_free(request.study, place, request.storage, files)
        return study
    study.check_format()
    prove_owner(study, place)
    check_plugins(study.plugins, request.plugins, f"--study {request.study}")
    for key, identity in _identities(request).items():
        study.compare(key, identity)
    return study


def _identities(request: SearchRequest) -> dict[str, Mapping[str, Any]]:
    """Return what may not change under a study's name, and needs no images to know."""
    plugins = request.plugin_digests(tuple(pruners.split(_pruner(request))))
    return {
        "problem": request.problem.identity(),
        "rules": request.rules.identity(),
        "checkpoints": {"url": request.checkpoints},
        "plugins": plugins,
    }


def _prove(request: SearchRequest, study: StudyRecord | None) -> _Proved:
    """Read all that the study needs, and prove that it fits together."""
    if request.sampler == "grid":
        grid_of(request.problem.space.ranges, request.seed)
    enqueued = warm_start.read(request.problem, request.enqueue, request.plugins)
    copies = sources.copies(request, study)
    _sampler(request)(0)  # a plug-in may fail at it
    images = _load_images(request.problem)
    identity = images.identity()
    if study is not None:
        study.compare("data", identity)
    return _Proved(request.problem.config({}).split(images), identity, enqueued, copies)


def _load_images(problem: SearchProblem) -> Images:
    """Load the training part, and prove that problem and images fit each other.

    The test part stays unread: a search can't learn from it.
    """
    images = load_part(problem.config({}), "train")
    problem.check_fit(images)
    return images


def _begin(request: SearchRequest, study: StudyRecord, proved: _Proved, place: Path) -> _Begun:
    """Store what the study holds to, and make ready what is left of it."""
    study.begin_study(versions())
    own(study, place, request.storage)
    for key, identity in _identities(request).items():
        study.hold(key, identity)
    study.hold("data", proved.identity)
    if not study.has_begun_from:
        study.begin_from(proved.copies)
    again: tuple[int, ...] = ()
    if request.retry_failed:
        load = partial(existing_study, request.study, request.storage, place, request.heartbeat)
        study, again = failures.reopen(study, load)
        _say_again(study, again)
    _say_changes(study, request)
    controller = _controller(request, study)
    controller.try_again(again)
    controller.requeue_orphans()
    retention = Retention(study, files_of(study, place))
    retention.apply()
    controller.enqueue_default(request.problem.default(), request.problem.moved())
    warm_start.enqueue_sources(study, request.problem.space)
    warm_start.enqueue(study, proved.enqueued)
    return _Begun(study, controller, retention)


def _say_again(study: StudyRecord, again: tuple[int, ...]) -> None:
    """Say which failed trials are tried again."""
    numbers = ", ".join(map(str, again))
    plural = "s" * (len(again) > 1)
    said = f"{study.name}: trial{plural} {numbers} failed and will be tried again"
    tell(said if again else f"{study.name}: no trial failed that could end otherwise")


def _say_changes(study: StudyRecord, request: SearchRequest) -> None:
    """Store how this session searches, and say what it does otherwise than asked or earlier."""
    if request.rules.front and "freeze" in (request.sampler, *request.pruner.split("+")):
        tell("freeze seeks one value; for a front tpe and halving stand in for it")
    method = {
        "sampler": request.sampler,
        "pruner": _pruner(request),
        "seed": request.seed,
        "control-every": request.control_every,
    }
    changed = [f"--{name} {old} is now {new}" for name, (old, new) in study.use(method).items()]
    if changed:
        tell(f"{study.name} goes on otherwise: {', '.join(changed)}")


def _controller(request: SearchRequest, study: StudyRecord) -> StudyController:
    """Build the controller; what an earlier session asked for holds until it is asked anew."""
    extent, config = _extent(request, study), request.problem.config({})
    trials, trainings = extent.get("trials"), extent.get("trainings")
    queue = SampledQueue(study.study, None if trials is None else int(trials))
    known = _recent_pace(study)
    return StudyController(
        study.study,
        request.problem,
        pruners.build(_pruner(request), config.epochs, config.eval_every),
        _sampler(request),
        UntilNoise(study, queue) if request.until_noise else queue,
        TimeBudget(extent.get("budget", inf), study.seconds, session.PROCESS_START, known),
        None if trainings is None else Trainings(int(trainings), config.epochs),
        control_every=request.control_every,
        min_clean=request.rules.min_clean,
        heartbeat=_heartbeat(request, study),
    )


def _extent(request: SearchRequest, study: StudyRecord) -> Mapping[str, float]:
    """Store what the study may use, and return it: what was typed, else what the recipe says.

    What is kept for the race is not the search's. The grid is a limit too, unless a number of
    trials was typed.
    """
    limits = _limits(request, study.ask_for(_typed(request)))
    study.set_extent(limits)
    return limits


def _typed(request: SearchRequest) -> dict[str, float | None]:
    return {"trainings": request.trainings, "trials": request.trials, "budget": request.budget}


def _limits(request: SearchRequest, asked: Mapping[str, float]) -> dict[str, float]:
    """Return what a study may use.

    Args:
        request: the search.
        asked: the limits that were ever typed.
    """
    limits = dict(asked)
    if request.sampler == "grid":
        size = 1 + grid_of(request.problem.space.ranges, request.seed).size
        limits = {"trials": size, **limits}
    limits = limits or {"trainings": request.problem.recipe.trainings}
    if request.confirm and "budget" in limits:
        limits["budget"] *= 1 - share.SHARE
    if request.confirm and "trainings" in limits:
        limits["trainings"], limits["race"] = share.divided(int(limits["trainings"]))
    if "trainings" in limits:
        limits["epochs"] = limits["trainings"] * request.problem.config({}).epochs
    return limits


def _sampler(request: SearchRequest) -> SamplerFactory:
    space, front = request.problem.space, request.rules.front
    return samplers.factory(request.sampler, request.seed, space, front=front)


def _heartbeat(request: SearchRequest, study: StudyRecord) -> Heartbeat | None:
    if not is_database(request.storage):
        return None
    return Heartbeat(study.study, request.heartbeat)


def _pruner(request: SearchRequest) -> str:
    """Return the pruner's specification.

    In a search of the front `dominated` goes round the last, and halving stands in for the model of
    one value.
    """
    outer, plus, inner = request.pruner.rpartition("+")
    if not request.rules.front:
        return request.pruner
    inner = "halving" if inner == "freeze" else inner
    around = "" if "dominated" in request.pruner else "dominated+"
    return f"{outer}{plus}{around}{inner}"
