"""One session of a study: from the start of Ray to the leaderboard."""

import contextlib
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.commands import command, given, near, typed
from pipeline.base.early import INTERRUPTED
from pipeline.base.narration import Waiting, is_quiet
from pipeline.base.signals import Interrupt
from pipeline.driver.publish import Headlines, View, publish
from pipeline.driver.request import SearchRequest
from pipeline.execution.places import Places
from pipeline.execution.ray_cluster import (
    ClusterRequest,
    measured_share,
    plan_resources,
    ray_session,
)
from pipeline.execution.room import Demand
from pipeline.forecast.outlook import outlook
from pipeline.problem.plugin_folder import plugin_words
from pipeline.study import failures
from pipeline.study.budget import Pace
from pipeline.study.controller import OUT_OF_TIME, StudyController
from pipeline.study.effort import effort_of
from pipeline.study.ranking import candidates, count_states
from pipeline.study.records import StudyRecord
from pipeline.study.result_order import Arrival, Lockstep
from pipeline.study.retention import Retention
from pipeline.study.storage import study_folder
from pipeline.tracking.mlflow_page import REPORT
from pipeline.tracking.tracker import Tracker
from pipeline.views import leaderboard
from pipeline.views.formatting import duration
from pipeline.views.layout import say
from pipeline.views.live import LiveView
from pipeline.views.redrawn import console
from pipeline.views.summary import summarize
from regmix.images import Split
from regmix.plugins import Plugins

if TYPE_CHECKING:
    from pipeline.execution.tune import TuneSession

PROCESS_START = time.monotonic()  # but for Python's own start


@dataclass(frozen=True)
class SessionPlan:
    """How a session runs the trials of its study.

    cluster: cluster and share of it for each trial.
    data: images to train on and to compare by, the same for all trials.
    plugins: variants outside of the tool, if any.
    view: where MLflow shows the study.
    lockstep: number of workers of the imagined machine in whose order results count; None takes
        them as they arrive.
    checkpoint_seconds: finished work that a kill may take from a trial, at most.
    """

    cluster: ClusterRequest
    data: Split
    plugins: Plugins | None
    view: View
    lockstep: int | None = None
    checkpoint_seconds: float = 60.0


@dataclass(frozen=True)
class Session:
    """A session whose Ray is up.

    plan: what it runs.
    interrupt: Ctrl-C and its like.
    scratch: folder for the files that Ray insists on.
    places: places for trials, and what each trial gets.
    """

    plan: SessionPlan
    interrupt: Interrupt
    scratch: str
    places: Places


@contextlib.contextmanager
def started(plan: SessionPlan) -> Iterator[Session]:
    """Start Ray, or join it, before anything is made that depends on it.

    Raises:
        InputError: where that can't be done, or not one trial fits.
        KeyboardInterrupt: where Ctrl-C came meanwhile.
    """
    with Interrupt() as interrupt, contextlib.ExitStack() as stack:
        with Waiting("Ray starts"):
            scratch = stack.enter_context(ray_session(plan.cluster, plan.data.nbytes))
        interrupt.listen()  # Ray took SIGTERM for itself
        interrupt.begin()
        yield Session(plan, interrupt, scratch, _places(plan))


def _places(plan: SessionPlan) -> Places:
    """Return the places that the cluster has, which it is asked to raise where that was said."""
    asked = plan.cluster
    measured = measured_share(asked)
    demand = Demand() if asked.may_grow else None
    return Places(plan_resources(asked), asked.concurrency, PROCESS_START, demand, measured)


def execute(
    controller: StudyController,
    retention: Retention,
    tracker: Tracker,
    session: Session,
    expected: Pace | None = None,
) -> str:
    """Run what is left of a study, and bring MLflow up to date.

    Args:
        controller: the study.
        retention: rule for the files of its trials.
        tracker: MLflow's view of the study.
        session: the session, whose Ray is up.
        expected: pace of its trials, until one of them is complete; None where nobody knows.

    Returns:
        FINISHED, FAILED or KILLED.
    """
    from pipeline.execution.tune import run_trials  # after Ray's environment

    study, status = controller.record, "FAILED"
    plan, live = session.plan, _live(controller, session, expected)
    tuned = _tuned(controller, retention, tracker, live, session)
    try:
        session.interrupt.go_on()
        with live, controller.heartbeat or contextlib.nullcontext():
            run_trials(tuned, plan.data, plan.plugins, session.scratch)
        status = "FAILED" if controller.failing else "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
    finally:
        session.interrupt.finish()
        controller.requeue_own()
        if status == "FINISHED" and not controller.has_time:
            controller.close_unfinished()
        study.set_seconds(controller.budget.seconds)
        retention.apply()
        publish(tracker, study, status, plan.view)
    if tuned.differing:
        print(_differing(tuned.differing), file=sys.stderr)
    for number, trace in list(tuned.bugs.items())[:1]:
        print(f"trial {number} failed by an error in the code:\n{trace}", file=sys.stderr)
    return status


def _live(controller: StudyController, session: Session, expected: Pace | None) -> LiveView:
    names, total = tuple(controller.problem.space.ranges), controller.queue.total
    budget, trainings = controller.budget, controller.trainings
    at_once = min(session.places.now, session.plan.lockstep or sys.maxsize)
    return LiveView(
        controller.record,
        names,
        total,
        budget,
        console(),
        trainings,
        at_once,
        expected=expected,
        quiet=is_quiet(),
    )


def _tuned(
    controller: StudyController,
    retention: Retention,
    tracker: Tracker,
    live: LiveView,
    session: Session,
) -> "TuneSession":
    """Return what Ray's searcher and scheduler share over a study."""
    from pipeline.execution.orderly_stop import OrderlyStop
    from pipeline.execution.tune import TuneSession

    plan, workers = session.plan, session.plan.lockstep
    return TuneSession(
        controller=controller,
        order=Arrival(controller) if workers is None else Lockstep(controller, workers),
        retention=retention,
        places=session.places,
        stop=session.interrupt.requested,
        stopping=OrderlyStop(plan.checkpoint_seconds),
        listeners=(
            tracker,
            live,
            Headlines(tracker, controller.record, plan.view),
        ),
        watchers=(live,),
        most=workers or sys.maxsize,
    )


def run(
    request: SearchRequest, controller: StudyController, retention: Retention, session: Session
) -> int:
    """Run what is left of the study, show its end, and return the exit status."""
    tracker = session.plan.view.tracker(controller.record, shared=controller.heartbeat is not None)
    status = execute(controller, retention, tracker, session)
    goes_on = status == "KILLED" or (request.confirm and status == "FINISHED")
    _show(request, controller, goes_on=goes_on)
    if controller.budget.first_epoch:
        say(_times(controller, session.places))
    if session.places.measured is not None:
        say(session.places.measured.in_words())
    if not request.confirm or status != "FINISHED":
        say_report(request)
    if status == "KILLED":
        say_interrupted(request.study)
        return INTERRUPTED
    return _end(controller)


def say_interrupted(name: str) -> None:
    """Say that a study goes on with the same command, which is told, and how to look at it.

    Args:
        name: name of the study.
    """
    say(f"\ninterrupted; nothing is lost: the same command continues {name}:")
    print(f"  {typed()}")


def complete(request: SearchRequest, controller: StudyController) -> int:
    """Show a study that has nothing left to do, bring MLflow up to date, say how to extend it."""
    if not controller.has_time:
        controller.close_unfinished()
    pointless = _show(request, controller, goes_on=request.confirm and not controller.hopeless)
    study = controller.record
    if not controller.hopeless:
        more, anyhow = _more(controller), " all the same" * pointless
        say(f"\n{request.study} is complete; to extend it{anyhow}, add {more} to the command")
    status = "FAILED" if controller.failing else "FINISHED"
    tracker = request.view.tracker(study, shared=controller.heartbeat is not None, thorough=True)
    publish(tracker, study, status, request.view)
    return _end(controller)


def _more(controller: StudyController) -> str:
    """Return the options by which a complete study is extended: twice what has ended it."""
    study, budget, total = controller.record, controller.budget, controller.queue.total
    more: dict[str, object] = {}
    if not controller.has_effort:
        extent = study.extent
        more["--trainings"] = round(2 * (extent["trainings"] + extent.get("race", 0)))
    if total is not None and len(study.trials()) >= total:
        more["--trials"] = 2 * total
    if budget.limited and (not more or not controller.has_time):
        asked = study.asked.get("budget", budget.budget)
        more["--budget"] = f"{math.ceil(2 * max(asked, budget.seconds) / 60)}m"
    return " ".join(given(more))


def _end(controller: StudyController) -> int:
    """Say which trials failed and what can be done; return 0 for an answer, 1 where none is.

    An answer is a complete trial, though `--min-clean` or catastrophic overfitting may leave none
    of them as a candidate: the table says so then. That a budget was too short for one is no
    failure either: the study ended as it was asked to.
    """
    study = controller.record
    gone, again = failures.failed(study), failures.repeatable(study)
    if gone:
        remedy = "once the cause is mended, --retry-failed tries them again"
        if not again:
            remedy = "they would do so again: change the space, or values by --set"
        print(f"{failures.in_words(again or gone)}; {remedy}", file=sys.stderr)
    cut = [trial for trial in study.trials() if trial.reason.startswith(OUT_OF_TIME)]
    if count_states(study)["COMPLETE"] or cut:
        return 0
    said = "the first trials all failed" if controller.failing else "no trial ended well"
    print(f"search: {said}, see the reasons above", file=sys.stderr)
    return 1


def _show(request: SearchRequest, controller: StudyController, *, goes_on: bool) -> bool:
    """Print what the study says, and what comes next unless it, or its race, goes on.

    Returns:
        whether further trials are pointless.
    """
    study = controller.record
    found = summarize(study, running=controller.shared)
    leaderboard.show(found, () if goes_on else next_commands(request, study))
    if controller.trainings is not None:
        trained = effort_of(controller.study).trained
        say(f"\neffort: {controller.trainings.in_words(trained)}")
    if controller.budget.limited:
        say(_budget_in_words(controller))
    known = None if study.pointless else outlook(study)
    if study.pointless or known is not None:
        say(f"outlook: {study.pointless or (known and known.in_words())}")
    return bool(study.pointless or (known and known.pointless))


def say_report(request: SearchRequest) -> None:
    """Say where the report is, which `publish` wrote."""
    path = study_folder(request.runs, request.study) / REPORT
    if path.is_file():
        say(f"\nreport: {near(path)}")


def next_commands(
    request: SearchRequest,
    study: StudyRecord,
    file: Path | None = None,
    more: Sequence[object] = ("--top", 5, "--seeds", 3),
) -> list[str]:
    """Return the commands that come next.

    Args:
        request: the search.
        study: the study.
        file: the exported winner of its race; None for the best trial, still to be exported.
        more: how much `confirm.py` shall race.
    """
    view, plugins = request.view, plugin_words(request.plugins)
    commands = [command("ui.py", *given({"--runs": view.runs_option}))]
    if candidates(study):  # else there is nothing to race or to export
        first = near(file or Path("exported") / f"{study.name}-1.yaml")
        where = view.study_words(study.name)
        commands += [
            command("confirm.py", *where, *view.uri_words, *more, *plugins),
            command("export.py", *where, "--top", 3, *plugins),
            command("train.py", first, *plugins),
            command("evaluate.py", first, *plugins),
        ]
    return commands


def _budget_in_words(controller: StudyController) -> str:
    """Say what the study spent of its budget, and why it left the rest."""
    budget = controller.budget
    spent, left = budget.seconds, max(0.0, budget.budget - budget.seconds)
    words = f"\nbudget: {duration(spent)} of {duration(budget.budget)} spent"
    if left and not controller.queue.empty() and not controller.has_time:
        needed = duration(budget.needed(controller.epochs_of_next))
        words += f"; {duration(left)} left, too short for another trial, which takes about {needed}"
    return words


def _times(controller: StudyController, places: Places) -> str:
    """Say when this session's first epoch came, and how much of its time trained."""
    first = controller.budget.first_epoch - PROCESS_START
    share = controller.budget.trained / places.seconds
    return (
        f"\nfirst epoch after {first:.0f} s; "
        f"{share:.0%} of the time of {places.in_words} parallel trials went into epochs"
    )


def _differing(numbers: set[int]) -> str:
    shown = ", ".join(map(str, sorted(numbers)[:5])) + ", ..." * (len(numbers) > 5)
    return (
        f"trained again after a kill, epochs of trial{'s' * (len(numbers) > 1)} {shown} came to "
        "other numbers than before, as on a GPU, or by another machine or version; the first count"
    )
