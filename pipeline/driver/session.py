"""One session of a study: from the start of Ray to the leaderboard."""

import contextlib
import math
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.base.paths import RUNS
from pipeline.base.signals import INTERRUPTED, Interrupt
from pipeline.driver.publish import close, tracker
from pipeline.driver.request import Request
from pipeline.report import leaderboard
from pipeline.report.live import Progress, console
from pipeline.tracking.tracker import Tracker
from pipeline.trial_files.disk import Files, tidy
from regmix.images import Images

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from pipeline.study.controller import StudyController

BEGUN = time.monotonic()  # of the process, but for Python's own start


@dataclass(frozen=True)
class Machine:
    """Where trials run, and how many at once; None takes what there is."""

    address: str | None
    concurrency: int | None
    gpus_per_trial: float | None


@dataclass(frozen=True)
class SessionResult:
    """How a session ended: FINISHED, FAILED or KILLED, with so many trials at once."""

    status: str
    concurrency: int


def execute(
    bridge: "StudyController",
    images: Images,
    files: Files,
    view: Tracker,
    how: Machine,
    width: int | None = None,
) -> SessionResult:
    """Run what is left of a study, and bring MLflow up to date.

    Args:
        bridge: of the study.
        images: training part of the data.
        files: of its trials.
        view: of the study.
        how: where trials run.
        width: see `pipeline.execution.ray_cluster.run`.
    """
    from pipeline.execution import ray_cluster as executor

    bugs, status = dict[int, str](), "FAILED"
    with (
        Interrupt() as interrupt,
        executor.started(how.address, how.concurrency, images.images.nbytes) as scratch,
    ):
        interrupt.listen()  # Ray took SIGTERM for itself
        slots = executor.slots(how.concurrency, how.gpus_per_trial)
        try:
            with (
                Progress(bridge, console()) as progress,
                bridge.heartbeat or contextlib.nullcontext(),
            ):
                bridge.changed = lambda trial: _changed(view, progress, trial)
                asked, failed = interrupt.asked, bugs.setdefault
                executor.run(bridge, images, files, slots, scratch, asked, failed, width)
            status = "FAILED" if bridge.hopeless else "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
        finally:
            bridge.release()
            if status == "FINISHED" and not bridge.clock.open:
                bridge.cut()
            tidy(bridge.study, files, bridge.kept)
            close(view, bridge.study, status, shared=bridge.heartbeat is not None)
    for number, trace in list(bugs.items())[:1]:
        print(f"trial {number} met a bug:\n{trace}", file=sys.stderr)
    return SessionResult(status, slots.concurrency)


def run(request: Request, bridge: "StudyController", images: Images, files: Files) -> int:
    """Run what is left of the study, and show its end.

    Returns:
        0 when the study is complete, 1 when its first trials all failed, 130 when interrupted.
    """
    how = Machine(request.address, request.concurrency, request.gpus_per_trial)
    ended = execute(bridge, images, files, _view(request), how, request.rules.deterministic)
    _show(request, bridge)
    if bridge.clock.first_report:
        print(_times(bridge, ended.concurrency))
    if ended.status == "KILLED":
        print(f"\ninterrupted; nothing is lost: the same command continues {request.study}")
        return INTERRUPTED
    if ended.status == "FAILED":
        print("search: the first trials all failed, see `why` above", file=sys.stderr)
        return 1
    return 0


def complete(request: Request, bridge: "StudyController") -> int:
    """Show a complete study, bring MLflow up to date, and say how to extend it."""
    if not bridge.clock.open:
        bridge.cut()
    _show(request, bridge)
    more = f"--trials {round(2.5 * len(bridge.study.get_trials(deepcopy=False)))}"
    clock = bridge.clock
    if clock.budget < float("inf"):
        more = f"--budget {math.ceil(2 * max(clock.budget, clock.seconds) / 60)}m"
    print(f"\n{request.study} is complete; to extend it, add {more} to the command", flush=True)
    close(_view(request), bridge.study, "FINISHED", shared=bridge.heartbeat is not None)
    return 0


def _view(request: Request) -> Tracker:
    facts = request.question.facts()
    return tracker(request.tracking_uri, request.runs, request.study, facts)


def _changed(view: Tracker, progress: Progress, trial: "FrozenTrial") -> None:
    view.update(trial)
    if trial.last_step:  # MLflow's start would hold up the first epoch
        view.start()
    progress.changed(trial)


def _show(request: Request, bridge: "StudyController") -> None:
    ours = "" if request.runs == RUNS else f" --runs {request.runs}"
    ui = "" if request.runs == RUNS else f" RUNS={request.runs}"
    storage = f" --storage '{request.storage}'" if request.storage else ""
    commands = [f"make ui{ui}"]
    if "COMPLETE" in leaderboard.counts(bridge.study):
        commands += [
            f"python pipeline/confirm.py --study {request.study} --top 5 --seeds 3{ours}{storage}",
            f"python pipeline/export.py --study {request.study} --top 3{ours}{storage}",
            f"python pipeline/train.py exported/{request.study}-1.yaml",
            f"python pipeline/evaluate.py exported/{request.study}-1.yaml",
        ]
    leaderboard.show(console(), bridge.study, request.searched, commands)


def _times(bridge: "StudyController", slots: int) -> str:
    """Say when this session's first epoch came, its length, and how much of it trained."""
    now = time.monotonic()
    first, whole = bridge.clock.first_report - BEGUN, now - BEGUN
    share = bridge.clock.trained / (slots * whole)
    return (
        f"\nfirst epoch after {first:.0f} s, end after {whole:.0f} s; "
        f"{share:.0%} of the time of {slots} parallel trials went into epochs"
    )
