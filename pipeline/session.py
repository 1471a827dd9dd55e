"""One session of a study: from the start of Ray to the leaderboard."""

import contextlib
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import leaderboard
from pipeline.command import INTERRUPTED, RUNS
from pipeline.progress import Progress, console
from pipeline.request import Request
from pipeline.tracking import Tracker
from regmix.images import Images

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from pipeline.bridge import StudyBridge

_BEGUN = time.monotonic()  # of the process, but for Python's own start


def run(request: Request, bridge: "StudyBridge", images: Images, place: Path) -> int:
    """Run what is left of the study, and show its end.

    Returns:
        0 when the study is complete, 1 when its first trials all failed, 130 when interrupted.
    """
    from pipeline import executor

    tracker, bugs, status = _tracker(request), dict[int, str](), "FAILED"
    with executor.started(request.address, request.concurrency, images.images.nbytes):
        slots = executor.slots(request.concurrency, request.gpus_per_trial)
        try:
            with _interruptible() as stop, Progress(bridge, console()) as progress:
                bridge.changed = lambda trial: _changed(tracker, progress, trial)
                executor.run(bridge, images, place, slots, stop, bugs.setdefault)
            status = "FAILED" if bridge.hopeless else "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
        finally:
            bridge.recover()
            _close(tracker, bridge, status)
    for number, trace in list(bugs.items())[:1]:
        print(f"trial {number} met a bug:\n{trace}", file=sys.stderr)
    _show(request, bridge)
    if bridge.first_report:
        print(_times(bridge, slots.concurrency))
    if status == "KILLED":
        print(f"\ninterrupted; nothing is lost: the same command continues {request.study}")
        return INTERRUPTED
    if status == "FAILED":
        print("search: the first trials all failed, see `why` above", file=sys.stderr)
        return 1
    return 0


def complete(request: Request, bridge: "StudyBridge") -> int:
    """Show a complete study, bring MLflow up to date, and say how to extend it."""
    _show(request, bridge)
    more = f"--trials {round(2.5 * len(bridge.study.get_trials(deepcopy=False)))}"
    if bridge.budget < float("inf"):
        more = f"--budget {math.ceil(2 * max(bridge.budget, bridge.seconds) / 60)}m"
    print(f"\n{request.study} is complete; to extend it, add {more} to the command", flush=True)
    _close(_tracker(request), bridge, "FINISHED")
    return 0


def _tracker(request: Request) -> Tracker:
    local = request.tracking_uri.startswith("sqlite")
    artifacts = request.runs / "artifacts" if local else None
    facts = request.question.facts()
    return Tracker(request.tracking_uri, request.study, artifacts, facts, request.searched)


def _changed(tracker: Tracker, progress: Progress, trial: "FrozenTrial") -> None:
    tracker.update(trial)
    if trial.last_step:  # MLflow's start would hold up the first epoch
        tracker.start()
    progress.changed(trial)


def _close(tracker: Tracker, bridge: "StudyBridge", status: str) -> None:
    """Bring MLflow up to date and end its summary run; say so where it can't be."""
    from pipeline.figures import page

    study, names = bridge.study, tuple(bridge.question.space.ranges)
    screen = console()
    with screen.capture() as board:
        screen.print(leaderboard.table(study, names))
        screen.print(leaderboard.best_in_words(study, names))
    summary: dict[str, Any] = {f"trials_{s}": n for s, n in leaderboard.tally(study).items()}
    for trial in study.get_trials(deepcopy=False):
        tracker.update(trial)
        if trial.state.name == "COMPLETE":
            summary["best_final_robust"] = max(
                trial.value or 0.0, summary.get("best_final_robust", 0.0)
            )
    tracker.close(status, summary, board.get(), page(study, names))
    if tracker.error:
        print(
            f"search: MLflow lags behind ({tracker.error}); the study itself is whole, and the "
            "same command brings MLflow up to date",
            file=sys.stderr,
        )


def _show(request: Request, bridge: "StudyBridge") -> None:
    ours = "" if request.runs == RUNS else f" --runs {request.runs}"
    ui = "" if request.runs == RUNS else f" RUNS={request.runs}"
    storage = f" --storage '{request.storage}'" if request.storage else ""
    commands = [f"make ui{ui}"]
    if "COMPLETE" in leaderboard.counts(bridge.study):
        commands += [
            f"python pipeline/export.py --study {request.study} --top 3{ours}{storage}",
            f"python pipeline/train.py exported/{request.study}-1.yaml",
            f"python pipeline/evaluate.py exported/{request.study}-1.yaml",
        ]
    leaderboard.show(console(), bridge.study, request.searched, commands)


def _times(bridge: "StudyBridge", slots: int) -> str:
    """Say when this session's first epoch came, its length, and how much of it trained."""
    now = time.monotonic()
    first, whole = bridge.first_report - _BEGUN, now - _BEGUN
    share = bridge.trained / (slots * whole)
    return (
        f"\nfirst epoch after {first:.0f} s, end after {whole:.0f} s; "
        f"{share:.0%} of the time of {slots} parallel trials went into epochs"
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into an event; a second one interrupts at once."""
    stop = threading.Event()

    def ask(number: int, frame: object) -> None:  # noqa: ARG001
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        print("\nstopping; nothing is lost", flush=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
