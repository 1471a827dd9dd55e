"""One session of a study: from the start of Ray to the leaderboard."""

import contextlib
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.commands import command, given, near
from pipeline.base.signals import INTERRUPTED, Interrupt
from pipeline.driver.publish import View, publish
from pipeline.driver.request import SearchRequest
from pipeline.execution.ray_cluster import ClusterRequest, plan_resources, ray_session
from pipeline.problem.plugin_folder import plugin_words
from pipeline.report import leaderboard
from pipeline.report.formatting import console
from pipeline.report.live import LiveView
from pipeline.study.controller import StudyController
from pipeline.study.ranking import count_states
from pipeline.study.result_order import Arrival, Lockstep
from pipeline.study.retention import Retention
from pipeline.tracking.tracker import Tracker
from regmix.images import Images
from regmix.plugins import Plugins

PROCESS_START = time.monotonic()  # but for Python's own start


@dataclass(frozen=True)
class SessionResult:
    """How a session ended.

    status: FINISHED, FAILED or KILLED.
    concurrency: number of trials that ran at once.
    """

    status: str
    concurrency: int


@dataclass(frozen=True)
class SessionPlan:
    """How a session runs the trials of its study.

    cluster: cluster and share of it for each trial.
    images: training part of the data.
    plugins: variants outside of the tool, if any.
    view: where MLflow shows the study.
    lockstep: number of workers of the imagined machine in whose order results count; None takes
        them as they arrive.
    """

    cluster: ClusterRequest
    images: Images
    plugins: Plugins | None
    view: View
    lockstep: int | None = None


def execute(
    controller: StudyController, retention: Retention, tracker: Tracker, plan: SessionPlan
) -> SessionResult:
    """Run what is left of a study, and bring MLflow up to date.

    Args:
        controller: the study.
        retention: rule for the files of its trials.
        tracker: MLflow's view of the study.
        plan: cluster, images and order of its trials.
    """
    study, status, bugs = controller.record, "FAILED", dict[int, str]()
    with (
        Interrupt() as interrupt,
        ray_session(plan.cluster, plan.images.images.nbytes) as scratch,
    ):
        from pipeline.execution.tune import TuneSession, run_trials  # after Ray's environment

        interrupt.listen()  # Ray took SIGTERM for itself
        resources = plan_resources(plan.cluster)
        space, total = tuple(controller.problem.space.ranges), controller.queue.total
        try:
            with (
                LiveView(study, space, total, controller.budget, console()) as live,
                controller.heartbeat or contextlib.nullcontext(),
            ):
                order = (
                    Arrival(controller)
                    if plan.lockstep is None
                    else Lockstep(controller, plan.lockstep)
                )
                listeners = (tracker, live)
                session = TuneSession(
                    controller, order, retention, resources, interrupt.requested, listeners, bugs
                )
                run_trials(session, plan.images, plan.plugins, scratch)
            status = "FAILED" if controller.failing else "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
        finally:
            controller.requeue_own()
            if status == "FINISHED" and not controller.budget.has_time:
                controller.close_unfinished()
            retention.apply()
            publish(tracker, study, status, plan.view)
    for number, trace in list(bugs.items())[:1]:
        print(f"trial {number} failed by an error in the code:\n{trace}", file=sys.stderr)
    return SessionResult(status, resources.concurrency)


def run(
    request: SearchRequest, controller: StudyController, images: Images, retention: Retention
) -> int:
    """Run what is left of the study, and show its end.

    Returns:
        0 when the study is complete, 1 when its first trials all failed, 130 when interrupted.
    """
    cluster = ClusterRequest(request.address, request.concurrency, request.gpus_per_trial)
    view = View(request.tracking_uri, request.runs, request.storage)
    tracker = view.tracker(controller.record, shared=controller.heartbeat is not None)
    plan = SessionPlan(cluster, images, request.plugins, view, request.rules.deterministic)
    ended = execute(controller, retention, tracker, plan)
    _show(request, controller)
    if controller.budget.first_epoch:
        print(_times(controller, ended.concurrency))
    if ended.status == "KILLED":
        print(f"\ninterrupted; nothing is lost: the same command continues {request.study}")
        return INTERRUPTED
    if ended.status == "FAILED":
        print("search: the first trials all failed, see `why` above", file=sys.stderr)
        return 1
    return 0


def complete(request: SearchRequest, controller: StudyController) -> int:
    """Show a complete study, bring MLflow up to date, and say how to extend it."""
    if not controller.budget.has_time:
        controller.close_unfinished()
    _show(request, controller)
    study, budget = controller.record, controller.budget
    more = f"--trials {round(2.5 * len(study.trials()))}"
    if budget.budget < float("inf"):
        more = f"--budget {math.ceil(2 * max(budget.budget, budget.seconds) / 60)}m"
    print(f"\n{request.study} is complete; to extend it, add {more} to the command", flush=True)
    view = View(request.tracking_uri, request.runs, request.storage)
    tracker = view.tracker(study, shared=controller.heartbeat is not None, thorough=True)
    publish(tracker, study, "FINISHED", view)
    return 0


def _show(request: SearchRequest, controller: StudyController) -> None:
    """Print the end of the study, and the commands that come next."""
    study, plugins = request.study, plugin_words(request.plugins)
    view = View(request.tracking_uri, request.runs, request.storage)
    commands = [command("ui.py", *given({"--runs": view.runs_option}))]
    if count_states(controller.record)["COMPLETE"]:
        first, where = near(Path("exported") / f"{study}-1.yaml"), view.study_words(study)
        commands += [
            command("confirm.py", *where, *view.uri_words, "--top", 5, "--seeds", 3, *plugins),
            command("export.py", *where, "--top", 3, *plugins),
            command("train.py", first, *plugins),
            command("evaluate.py", first, *plugins),
        ]
    leaderboard.show(console(), controller.record, commands)


def _times(controller: StudyController, concurrency: int) -> str:
    """Say when this session's first epoch came, its length, and how much of it trained."""
    budget, now = controller.budget, time.monotonic()
    first, whole = budget.first_epoch - PROCESS_START, now - PROCESS_START
    share = budget.trained / (concurrency * whole)
    return (
        f"\nfirst epoch after {first:.0f} s, end after {whole:.0f} s; "
        f"{share:.0%} of the time of {concurrency} parallel trials went into epochs"
    )
