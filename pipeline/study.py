"""A search from its question to its leaderboard: wires study, executor, view and progress."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline import leaderboard, pruners
from pipeline.progress import Progress, console
from pipeline.question import Question
from pipeline.store import exclusive, open_storage, study_folder
from pipeline.tracking import Tracker
from regmix import registry
from regmix.errors import InputError
from regmix.images import Images, split

if TYPE_CHECKING:
    from optuna.study import Study

    from pipeline.bridge import StudyBridge

UNLIMITED = 10**6  # trials, where a budget in time ends the study


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    question: Question
    study: str
    runs: Path
    trials: int | None
    budget: float | None  # seconds
    seed: int
    concurrency: int | None
    gpus_per_trial: float | None
    sampler: str
    pruner: str
    storage: str | None
    tracking_uri: str
    address: str | None


def versions() -> dict[str, str]:
    """Return the versions of what a result may depend on."""
    packages = ("torch", "numpy", "optuna", "ray", "mlflow", "regmix-search")
    python = ".".join(map(str, sys.version_info[:3]))
    return {"python": python, **{name: version(name) for name in packages}}


def load_images(question: Question) -> Images:
    """Load the training part, and prove that it can be split as the recipe says.

    The test part stays unread: a search can't learn from it.
    """
    config = question.config({})
    images: Images = registry.find("data", config.data.name)("train", **config.data.options)
    split(images, valid=config.valid_images, train=config.train_images, seed=config.split_seed)
    return images


def run_study(request: Request) -> int:
    """Start the study, continue it, or say that it is complete.

    Returns:
        0 when the study is complete, 1 when its trials fail, 130 when it was interrupted.

    Raises:
        InputError: where the study belongs to another question, data set or process.
    """
    place = study_folder(request.runs, request.study)
    with exclusive(place):
        study = _open(request, place)
        images = load_images(request.question)
        _hold(study, "data", {"fingerprint": images.fingerprint()}, request.study)
        bridge = _bridge(request, study)
        left = bridge.recover()
        bridge.begin()
        if not bridge.remaining() or bridge.seconds >= bridge.budget:
            return _complete(request, bridge)
        done = len(study.get_trials(deepcopy=False)) - (bridge.remaining() - _unasked(bridge))
        if done:
            print(f"continuing {request.study}: {done} trials ended, {len(left)} to be resumed")
        return _run(request, bridge, images, place)


def _unasked(bridge: "StudyBridge") -> int:
    return max(0, bridge.trials - len(bridge.study.get_trials(deepcopy=False)))


def _open(request: Request, place: Path) -> "Study":
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage(request.storage, place)
    study = optuna.create_study(
        study_name=request.study, storage=storage, direction="maximize", load_if_exists=True
    )
    _hold(study, "question", request.question.facts(), request.study)
    if "versions" not in study.user_attrs:
        study.set_user_attr("versions", versions())
    return study


def _hold(study: "Study", key: str, facts: dict[str, Any], name: str) -> None:
    """Store what a study is about, or prove that it is still the same.

    Raises:
        InputError: naming what differs.
    """
    known = study.user_attrs.get(key)
    if known is None:
        study.set_user_attr(key, facts)
        return
    differ = [k for k in (*known, *facts) if known.get(k) != facts.get(k)]
    if differ:
        shown = "; ".join(
            f"{k} was {known.get(k)} and is {facts.get(k)}" for k in dict.fromkeys(differ)
        )
        raise InputError(
            f"--study {name}: was made for another {key} ({shown}); undo the change, or choose a "
            "new name by --study"
        )


def _bridge(request: Request, study: "Study") -> "StudyBridge":
    """Build the bridge; what an earlier session asked for holds until it is asked otherwise."""
    from pipeline.bridge import StudyBridge

    asked = {"trials": request.trials, "budget": request.budget}
    kept = {**study.user_attrs.get("extent", {}), **{k: v for k, v in asked.items() if v}}
    if kept != study.user_attrs.get("extent"):
        study.set_user_attr("extent", kept)
    recipe = request.question.recipe.trials
    return StudyBridge(
        study,
        request.question,
        pruners.build(request.pruner, request.question.config({}).epochs),
        request.sampler,
        request.seed,
        trials=kept.get("trials") or (UNLIMITED if kept.get("budget") else recipe),
        budget=kept.get("budget") or float("inf"),
    )


def _run(request: Request, bridge: "StudyBridge", images: Images, place: Path) -> int:
    from pipeline import executor

    screen, tracker, bugs = console(), _tracker(request), dict[int, str]()
    status, code = "FAILED", 1
    with executor.started(request.address, request.concurrency, images.images.nbytes):
        slots = executor.slots(request.concurrency, request.gpus_per_trial)
        tracker.start()
        for trial in bridge.study.get_trials(deepcopy=False):
            tracker.update(trial)
        with Progress(bridge, screen) as progress, _interruptible() as stop:
            bridge.changed = _both(tracker.update, progress.changed)
            try:
                executor.run(bridge, images, place, slots, stop, bugs.setdefault)
                status, code = ("FAILED", 1) if bridge.hopeless else ("FINISHED", 0)
            except KeyboardInterrupt:
                status, code = "KILLED", 130
            finally:
                bridge.recover()
        _close(tracker, bridge, status)
    for number, trace in list(bugs.items())[:1]:
        print(f"trial {number} met a bug:\n{trace}", file=sys.stderr)
    leaderboard.show(screen, bridge.study, tuple(request.question.space.ranges), _next(request))
    if code == 1:
        print("search: the first trials all failed, see above; mend the cause", file=sys.stderr)
    if code == 130:
        print("\ninterrupted: nothing is lost; type the same command again to continue")
    return code


def _tracker(request: Request) -> Tracker:
    local = request.tracking_uri.startswith("sqlite")
    return Tracker(
        request.tracking_uri,
        request.study,
        request.runs / "artifacts" if local else None,
        request.question.facts(),
        tuple(request.question.space.ranges),
    )


def _close(tracker: Tracker, bridge: "StudyBridge", status: str) -> None:
    from pipeline.figures import page

    study = bridge.study
    names = tuple(bridge.question.space.ranges)
    plain = console()
    with plain.capture() as board:
        plain.print(leaderboard.table(study, names))
        plain.print(leaderboard.best_in_words(study, names))
    summary: dict[str, Any] = {f"trials_{s}": n for s, n in leaderboard.counts(study).items()}
    complete = [t for t in study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    values = [trial.value for trial in complete if trial.value is not None]
    if values:
        summary["best_valid_robust"] = max(values)
    for trial in study.get_trials(deepcopy=False):
        tracker.update(trial)
    tracker.close(status, summary, board.get(), page(study, names))
    if tracker.error:
        print(
            f"search: MLflow lags behind ({tracker.error}); the study is whole, and the same "
            "command brings MLflow up to date",
            file=sys.stderr,
        )


def _complete(request: Request, bridge: "StudyBridge") -> int:
    tracker = _tracker(request)
    tracker.start()
    _close(tracker, bridge, "FINISHED")
    names = tuple(request.question.space.ranges)
    leaderboard.show(console(), bridge.study, names, _next(request))
    count = len(bridge.study.get_trials(deepcopy=False))
    more = f"--trials {round(2.5 * count)}"
    if bridge.budget < float("inf"):
        more = f"--budget {2 * bridge.budget / 60:g}m"
    print(f"\n{request.study} is complete; to extend it, add {more} to the command")
    return 0


def _next(request: Request) -> list[str]:
    name, runs = request.study, ""
    from pipeline.command import RUNS

    if request.runs != RUNS:
        runs = f" --runs {request.runs}"
    return [
        "make ui" + (f" RUNS={request.runs}" if runs else ""),
        f"python pipeline/export.py --study {name} --top 3{runs}",
        f"python pipeline/train.py exported/{name}-1.yaml",
        f"python pipeline/evaluate.py exported/{name}-1.yaml",
    ]


def _both(first: Callable[[Any], None], second: Callable[[Any], None]) -> Callable[[Any], None]:
    def call(trial: Any) -> None:  # noqa: ANN401
        first(trial)
        second(trial)

    return call


@contextlib.contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C or SIGTERM into an event; a second Ctrl-C interrupts at once."""
    stop = threading.Event()

    def ask(number: int, frame: object) -> None:  # noqa: ARG001
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
