"""What the driver costs beside its workers, by the number of trials that a study has.

make bench-overhead                                the table below
make bench-overhead ARGS="--trials 10 300 --repeat 5"

For studies of several sizes, in a journal and in SQLite: CPU milliseconds of an event, CPU seconds
of opening a study again, and CPU seconds of `--sync` into an empty MLflow. Nothing is trained: the
studies are written as the driver would have left them, and the events are real calls.
"""

import argparse
import contextlib
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

import numpy as np  # noqa: E402
import optuna  # noqa: E402
from optuna.distributions import BaseDistribution, distribution_to_json  # noqa: E402
from optuna.storages import JournalStorage  # noqa: E402
from optuna.storages.journal import BaseJournalBackend  # noqa: E402
from optuna.trial import FrozenTrial, TrialState, create_trial  # noqa: E402
from rich.console import Console  # noqa: E402

from pipeline import pruners, samplers  # noqa: E402
from pipeline.driver.publish import sync  # noqa: E402
from pipeline.problem.problem import SearchProblem  # noqa: E402
from pipeline.pruners.freeze import freeze  # noqa: E402
from pipeline.study.controller import StudyController  # noqa: E402
from pipeline.study.events import EpochResult, TrialRequest  # noqa: E402
from pipeline.study.queue import SampledQueue  # noqa: E402
from pipeline.study.records import StudyRecord  # noqa: E402
from pipeline.study.retention import Retention, files_of  # noqa: E402
from pipeline.study.storage import find_study, open_storage  # noqa: E402
from pipeline.views.live import LiveView  # noqa: E402
from regmix.evaluation.results import FinalEvaluation, Masking  # noqa: E402
from regmix.training.metrics import EpochMetrics  # noqa: E402

NAME = "driver"
MACHINE = {"device": "cpu", "threads": 1}
VERSIONS = {"python": "3.11", "code": "0a"}
RUNGS = (3, 6)  # of `halving` in 12 epochs; a trial is pruned at one of them
SHARES = {"COMPLETE": 0.33, "PRUNED": 0.65, "FAIL": 0.02}
SAMPLERS = ("freeze", "bohb", "tpe", "random")


def problem() -> SearchProblem:
    """Return the search of `make search`: three parameters, 12 epochs."""
    return SearchProblem.load("wamr", "digits", {})


@dataclass
class Writer:
    """Writes trials as the driver would have left them.

    problem: what the study is about.
    epochs: number of epochs of a whole run.
    draw: its random numbers.
    """

    problem: SearchProblem
    epochs: int
    draw: np.random.Generator

    def metrics(self, epoch: int, robust: float) -> EpochMetrics:
        """Return an epoch; the last one has a final evaluation."""
        names = EpochMetrics.__dataclass_fields__
        values: dict[str, Any] = {name: float(self.draw.uniform()) for name in names}
        values |= {"epoch": epoch, "best_epoch": epoch, "co_detected": False, "final": None}
        values |= {"valid_robust": robust, "best_robust": robust, "seconds": 1.0}
        if epoch == self.epochs:
            signs: dict[str, Any] = dict.fromkeys(Masking.__dataclass_fields__, 0.0)
            none = Masking(**signs)
            values["final"] = FinalEvaluation(round(1000 * robust), 1000, none)
        return EpochMetrics(**values)

    def trial(self, number: int, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
        """Return an ended trial."""
        params = {name: self._value(one) for name, one in distributions.items()}
        state = str(self.draw.choice(list(SHARES), p=list(SHARES.values())))
        last = {"COMPLETE": self.epochs, "PRUNED": int(self.draw.choice(RUNGS)), "FAIL": 1}[state]
        level = float(self.draw.uniform(0.2, 0.5))
        values = {epoch: round(level + 0.01 * epoch, 6) for epoch in range(1, last + 1)}
        outcome = {"epoch": last, "state": state, "reason": "" if state == "COMPLETE" else "rank"}
        attributes: dict[str, Any] = {
            "config": dict(self.problem.config(params).flat()),
            "computed_on": [{"epoch": 1, "machine": MACHINE, "versions": VERSIONS}],
            "outcome": outcome,
            **{f"epoch_{e}": asdict(self.metrics(e, value)) for e, value in values.items()},
        }
        final = {"COMPLETE": values[last], "PRUNED": values[last], "FAIL": None}[state]
        trial = create_trial(
            state=TrialState[state],
            value=final,
            params=params,
            distributions=distributions,
            user_attrs=json.loads(json.dumps(attributes)),
            intermediate_values=values,
        )
        trial.number = number
        trial.datetime_start = datetime(2026, 1, 1) + timedelta(minutes=number)
        trial.datetime_complete = trial.datetime_start + timedelta(seconds=last)
        return trial

    def _value(self, distribution: Any) -> Any:  # noqa: ANN401
        if hasattr(distribution, "choices"):
            return distribution.choices[self.draw.integers(len(distribution.choices))]
        low, high = distribution.low, distribution.high
        if distribution.log:
            return float(np.exp(self.draw.uniform(np.log(low), np.log(high))))
        return float(self.draw.uniform(low, high))


class _Lines(BaseJournalBackend):
    """A journal in memory, so that ten thousand trials are written to the disk at once."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return json.loads(json.dumps(self.lines[log_number_from:]))

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self.lines += logs


def build(place: Path, trials: int, database: str | None = None) -> None:
    """Write a study of so many ended trials into a folder's journal, or into a SQLite file."""
    about, optuna_log = problem(), optuna.logging
    optuna_log.set_verbosity(optuna_log.ERROR)
    writer = Writer(about, about.config({}).epochs, np.random.default_rng(0))
    place.mkdir(parents=True)
    study = optuna.create_study(direction="maximize")
    about.space.suggest(study.ask())
    distributions = study.trials[0].distributions
    found = [writer.trial(number, distributions) for number in range(trials)]
    if database is None:
        lines = _Lines()
        _begin(optuna.create_study(study_name=NAME, storage=JournalStorage(lines), **_MAX), about)
        begun = optuna.load_study(study_name=NAME, storage=JournalStorage(lines))
        begun.add_trials(found)
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines.lines)
        (place / "journal.log").write_text(text)
        return
    storage = open_storage(database, place)
    _begin(optuna.create_study(study_name=NAME, storage=storage, **_MAX), about)
    with contextlib.closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as base, base:
        _insert(base, found)


_MAX: dict[str, Any] = {"direction": "maximize"}


def _begin(study: optuna.Study, about: SearchProblem) -> None:
    record = StudyRecord(study)
    record.begin_study(VERSIONS)
    record.hold("problem", about.identity())


def _insert(base: sqlite3.Connection, trials: list[FrozenTrial]) -> None:
    """Write trials into Optuna's tables; by its own calls ten thousand would take minutes."""
    rows: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for trial in trials:
        key = trial.number + 1
        times = (str(trial.datetime_start), str(trial.datetime_complete))
        rows["trials"].append((key, trial.number, 1, trial.state.name, *times))
        for name, value in trial.params.items():
            one = trial.distributions[name]
            stored = one.to_internal_repr(value), distribution_to_json(one)
            rows["trial_params"].append((None, key, name, *stored))
        for name, content in trial.user_attrs.items():
            rows["trial_user_attributes"].append((None, key, name, json.dumps(content)))
        for epoch, value in trial.intermediate_values.items():
            rows["trial_intermediate_values"].append((None, key, epoch, value, "FINITE"))
        if trial.value is not None:
            rows["trial_values"].append((None, key, 0, trial.value, "FINITE"))
    for table, found in rows.items():
        marks = ", ".join("?" * len(found[0]))
        base.executemany(f"INSERT INTO {table} VALUES ({marks})", found)


@dataclass
class Clock:
    """CPU milliseconds of named events, all threads of the process."""

    spent: dict[str, list[float]]

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Count what happens within as one event."""
        begun = time.process_time()
        yield
        self.spent[name].append(1000 * (time.process_time() - begun))


def _controller(record: StudyRecord, sampler: str, trials: int) -> StudyController:
    about = problem()
    queue = SampledQueue(record.study, trials + 10_000)
    inner = "freeze" if sampler == "freeze" else "halving"
    pruner = pruners.build(f"collapse+{inner}", about.config({}).epochs)
    made = samplers.factory(sampler, 0, about.space)
    return StudyController(record.study, about, pruner, made, queue, control_every=12)


def measure(place: Path, database: str | None, trials: int, repeat: int) -> dict[str, float]:
    """Return event -> median CPU milliseconds, and what to open the study took.

    Args:
        place: folder of the study.
        database: address of its database, if it lies in one.
        trials: number of trials that it has.
        repeat: how often each event is measured, at least.
    """
    clock = Clock(defaultdict(list))
    with clock.of("open"):
        find_study(NAME, database, place)
    record = StudyRecord(optuna.load_study(study_name=NAME, storage=open_storage(database, place)))
    with clock.of("prove"):
        record.check_format()
    writer = Writer(problem(), 12, np.random.default_rng(1))
    files = files_of(record, place)
    retention, first = Retention(record, files), _controller(record, "random", trials)
    console = Console(file=(place / "shown").open("w"), force_terminal=True, width=100)
    live = LiveView(record, tuple(first.problem.space.ranges), trials, first.budget, console)
    with live:
        first.requeue_orphans()
        for sampler in SAMPLERS:
            controller = _controller(record, sampler, trials)
            for _ in range(repeat):
                _trial(controller, live, retention, writer, clock, sampler)
    return {name: statistics.median(found) for name, found in clock.spent.items()}


def _trial(
    controller: StudyController,
    live: LiveView,
    retention: Retention,
    writer: Writer,
    clock: Clock,
    sampler: str,
) -> None:
    """Let a trial live, as a session would: each event, and the views after it."""

    def shown() -> None:
        for trial in controller.drain_changes():
            with clock.of("live table"):
                live.trial_changed(trial)
                live.table()

    with clock.of("remaining, hopeless"):
        assert not controller.queue.empty() and not controller.hopeless
    with clock.of(f"ask ({sampler})"):
        request = controller.ask()
    assert isinstance(request, TrialRequest)
    shown()
    for epoch in range(1, 13):
        level = float(writer.draw.uniform(0.2, 0.6))
        result = EpochResult(writer.metrics(epoch, level), MACHINE, VERSIONS)
        rung = sampler == "freeze" and epoch in freeze(12).rungs
        with clock.of("report at a rung (freeze)" if rung else "report"):
            outcome = controller.report(request.number, result)
        shown()
        if outcome is not None:
            with clock.of("tell"):
                controller.tell(request.number, outcome)
            shown()
            break
    with clock.of("retention"):
        retention.apply()


def table(sizes: list[int], repeat: int) -> dict[str, dict[str, float]]:
    """Return event -> 'journal 10' and so on -> median CPU milliseconds."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    for trials in sizes:
        for kind in ("journal", "SQLite"):
            with tempfile.TemporaryDirectory(prefix="driver-") as folder:
                place = Path(folder) / "studies" / NAME
                database = None if kind == "journal" else f"sqlite:///{folder}/study.db"
                build(place, trials, database)
                for event, spent in measure(place, database, trials, repeat).items():
                    found[event][f"{kind} {trials}"] = spent
    return found


def synced(trials: int) -> float:
    """Return the CPU seconds of `--sync` of so many trials into an empty MLflow."""
    with tempfile.TemporaryDirectory(prefix="driver-") as folder:
        build(Path(folder) / "studies" / NAME, trials)
        begun = time.process_time()
        code = sync(NAME, folder, None, None)
        spent = time.process_time() - begun
    assert code == 0
    return spent


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 1000, 10_000])
    parser.add_argument("--repeat", type=int, default=10, help="trials for each figure")
    parser.add_argument("--sync", type=int, default=1000, help="trials to be synced; 0 for none")
    parser.add_argument("--json", action="store_true", help="print figures for a program")
    args = parser.parse_args()
    found = table(args.trials, args.repeat)
    seconds = synced(args.sync) if args.sync else None
    if args.json:
        print(json.dumps({**found, "sync": seconds}))
        return
    columns = list(next(iter(found.values())))
    print("CPU ms of an event, median; `open` and `prove` once")
    print("| event | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for event, row in found.items():
        print(f"| {event} | " + " | ".join(f"{row[name]:.2g}" for name in columns) + " |")
    if seconds is not None:
        print(f"--sync of {args.sync} trials into an empty MLflow: {seconds:.1f} CPU s")


if __name__ == "__main__":
    main()
