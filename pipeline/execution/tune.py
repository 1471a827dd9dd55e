"""Our Searcher and TrialScheduler: two faces of one study towards Ray Tune.

Order of Ray's calls: a result goes to the scheduler, which may stop the trial; a trial's last
result (done, or stopped) comes to the searcher as its completion.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from pipeline.study.controller import StudyController
from pipeline.study.records import TrialOutcome
from pipeline.study.result_order import Arrival, Epoch, Lockstep, Order
from pipeline.trial_files.disk import Files, tidy
from regmix.training.metrics import EpochMetrics

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

    from pipeline.execution.ray_cluster import TrialResources

# What a trial may come to without its own fault, and how often it is tried again. Memory may
# have been a neighbour's; a loss that is not finite comes again with the same seed.
DIED, ALLOWED = "its worker process died", {"its worker process died": 3, "out of memory": 1}


@dataclass
class TuneSession:
    """What both faces share: which Ray trial is which of the study, and how each ended."""

    bridge: StudyController
    files: Files
    slots: "TrialResources"
    stop: Event
    failed: Callable[[int, str], object]
    width: int | None = None  # of the imagined machine; None takes results as they arrive
    fault: OSError | None = None  # Ray would wrap it: the executor raises it again
    spent: bool = False  # the budget is
    numbers: dict[str, int] = field(default_factory=dict)  # Ray's trial id -> study's number
    endings: dict[int, TrialOutcome] = field(default_factory=dict)  # of trials that Ray still runs
    order: Order = field(init=False)

    def __post_init__(self) -> None:
        if self.width is None:
            self.order = Arrival(self.bridge, self._ended)
        else:
            self.order = Lockstep(self.bridge, self.width, self._ended)

    @contextlib.contextmanager
    def remembering(self) -> Iterator[None]:
        """Keep an error of the disk, which is the user's to mend, as it is."""
        try:
            yield
        except OSError as error:
            self.fault = error
            raise

    def stop_if_asked(self) -> None:
        """Raise between two events, never within one: the study's file is whole then.

        An error raised within an event would be Ray's to handle: it would blame the trial.
        """
        if self.fault is not None:
            raise self.fault
        self.spent = self.bridge.clock.over
        if self.stop.is_set() or self.spent:
            raise KeyboardInterrupt

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return what a worker needs for the next trial, or None where there is none now."""
        request = self.order.suggest()
        if request is None:
            return None
        self.numbers[trial_id] = request.number
        return {
            "number": request.number,
            "config": request.config.flat(),
            "reported": request.reported,
            "files": self.files.place,
            "threads": 1 if not self.slots.gpus else int(self.slots.cpus),
        }

    def result(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Take what a worker returned; return whether its trial has ended."""
        number = self.numbers[trial_id]
        if number in self.endings:
            return True
        if "disk" in result:
            raise OSError(result["disk"][0], "disk", result["disk"][1])
        if "failure" in result:
            self._failure(number, result)
        else:
            metrics = EpochMetrics.from_dict(json.loads(result["metrics"]))
            known = self.bridge.frozen(number).intermediate_values
            if metrics.epoch not in known:  # else its checkpoint was lost
                self.order.take(number, Epoch(metrics, dict(result["machine"])))
        return number in self.endings

    def _failure(self, number: int, result: dict[str, Any]) -> None:
        if result["traceback"]:
            self.failed(number, result["traceback"])
        if result["kind"] in ALLOWED:
            self._retry(number, result["kind"])
        else:
            self.order.take(number, TrialOutcome("FAIL", result["failure"]))

    def _retry(self, number: int, reason: str) -> None:
        ending = self.bridge.retry(number, reason, ALLOWED[reason])
        self.order.forget(number)
        if ending is not None:
            self.order.take(number, ending)

    def complete(self, trial_id: str, result: dict[str, Any] | None, error: bool) -> None:
        """Take the last result, which never reaches the scheduler, and forget the Ray trial."""
        if self.fault is not None:  # the disk's, not the trial's: the study has it still to do
            return
        number = self.numbers[trial_id]
        if number not in self.endings:
            if error or not result:
                self._retry(number, DIED)
            else:
                self.result(trial_id, result)
        del self.numbers[trial_id]
        if self.endings.pop(number, None):
            self._tidy()

    def _ended(self, number: int, ending: TrialOutcome) -> None:
        if number in self.numbers.values():
            self.endings[number] = ending
        else:
            self._tidy()

    def _tidy(self) -> None:
        tidy(self.bridge.study, self.files, self.bridge.kept, busy=self.numbers.values())


class StudySearcher(Searcher):
    """Asks the study for trials and tells it their ends."""

    def __init__(self, calls: TuneSession) -> None:
        super().__init__()  # without a metric: values reach the study through the scheduler
        self._calls = calls

    def set_search_properties(self, *_: object, **__: object) -> bool:
        """Accept whatever Ray sets: the space is the study's."""
        return True

    def suggest(self, trial_id: str) -> Any:  # noqa: ANN401  (Ray's FINISHED is a str)
        """Return a trial's worker configuration, None to wait, or FINISHED."""
        self._calls.stop_if_asked()
        if len(self._calls.numbers) >= self._calls.slots.concurrency:
            return None
        with self._calls.remembering():
            found = self._calls.suggest(trial_id)
        if found is None and not self._calls.numbers and not self._calls.bridge.shared:
            return Searcher.FINISHED
        return found  # while trials run, one may come back: its worker or driver may die

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Do nothing: the scheduler reports."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the study."""
        with self._calls.remembering():
            self._calls.complete(trial_id, result, error)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the study remembers."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StudyScheduler(FIFOScheduler):
    """Reports each epoch to the study and stops a trial when the study says so."""

    def __init__(self, calls: TuneSession) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls = calls

    def on_trial_result(
        self, tune_controller: "TuneController", trial: "Trial", result: dict[str, Any]
    ) -> str:
        """Return STOP where the study has ended the trial."""
        self._calls.stop_if_asked()
        with self._calls.remembering():
            ended = self._calls.result(trial.trial_id, result)
        return str(TrialScheduler.STOP if ended else TrialScheduler.CONTINUE)

    def choose_trial_to_run(self, tune_controller: "TuneController") -> "Trial | None":
        """Choose as FIFO does; Ray calls this in every round, so an interrupt is seen soon."""
        self._calls.stop_if_asked()
        return super().choose_trial_to_run(tune_controller)

    def __getstate__(self) -> dict[str, Any]:
        return {}
