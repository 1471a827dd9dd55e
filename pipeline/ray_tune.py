"""Our Searcher and TrialScheduler: two faces of one study towards Ray Tune.

Order of Ray's calls: a result goes to the scheduler, which may stop the trial; a trial's last
result (done, or stopped) comes to the searcher as its completion.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from pipeline.bridge import Ending, StudyBridge
from pipeline.store import BEST_WEIGHTS, CHECKPOINT, WEIGHTS, trial_folder
from regmix.metrics import EpochMetrics

if TYPE_CHECKING:
    from ray.tune.execution.tune_controller import TuneController
    from ray.tune.experiment import Trial

    from pipeline.executor import Slots


@dataclass
class Calls:
    """What both faces share: which Ray trial is which of the study, and how each ended."""

    bridge: StudyBridge
    place: Path
    slots: "Slots"
    stop: Event
    failed: Callable[[int, str], object]
    fault: OSError | None = None  # Ray would wrap it: the executor raises it again
    numbers: dict[str, int] = field(default_factory=dict)  # Ray's trial id -> study's number
    endings: dict[str, Ending] = field(default_factory=dict)

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
        if self.stop.is_set():
            raise KeyboardInterrupt

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        """Return what a worker needs for the next trial, or None where there is none now."""
        request = self.bridge.ask()
        if request is None:
            return None
        self.numbers[trial_id] = request.number
        return {
            "number": request.number,
            "config": request.config.flat(),
            "reported": request.reported,
            "folder": str(trial_folder(self.place, request.number)),
            "threads": 1 if not self.slots.gpus else int(self.slots.cpus),
        }

    def result(self, trial_id: str, result: dict[str, Any]) -> Ending | None:
        """Give an epoch to the study; return the ending that it brings, once."""
        if trial_id in self.endings:
            return self.endings[trial_id]
        number = self.numbers[trial_id]
        if "disk" in result:
            raise OSError(result["disk"][0], "disk", result["disk"][1])
        if "failure" in result:
            ending: Ending | None = Ending("FAIL", result["failure"])
            if result["traceback"]:
                self.failed(number, result["traceback"])
        else:
            ending = self.bridge.report(
                number,
                EpochMetrics.from_dict(json.loads(result["metrics"])),
                dict(result["machine"]),
            )
        if ending is not None:
            self.endings[trial_id] = ending
        return ending

    def complete(self, trial_id: str, result: dict[str, Any] | None, error: bool) -> None:
        """Tell the study how a trial ended, and drop the files that nobody needs any more."""
        if self.fault is not None:  # the disk's, not the trial's: the study has it still to do
            return
        number = self.numbers[trial_id]
        if error or not result:
            self.endings.setdefault(trial_id, Ending("FAIL", "its worker process died"))
        else:
            self.result(trial_id, result)  # the last result never reaches the scheduler
        ending = self.endings.pop(trial_id)
        del self.numbers[trial_id]
        self.bridge.tell(number, ending)
        folder = trial_folder(self.place, number)
        unneeded = () if ending.state == "COMPLETE" else (WEIGHTS, BEST_WEIGHTS)
        for name in (CHECKPOINT, *unneeded):
            (folder / name).unlink(missing_ok=True)
        if folder.is_dir() and not os.listdir(folder):
            folder.rmdir()


class BridgeSearcher(Searcher):
    """Asks the study for trials and tells it their ends."""

    def __init__(self, calls: Calls) -> None:
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
            return self._calls.suggest(trial_id) or Searcher.FINISHED

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


class BridgeScheduler(FIFOScheduler):
    """Reports each epoch to the study and stops a trial when the study says so."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._calls = calls

    def on_trial_result(
        self, tune_controller: "TuneController", trial: "Trial", result: dict[str, Any]
    ) -> str:
        """Return STOP where the study ends the trial."""
        self._calls.stop_if_asked()
        with self._calls.remembering():
            ending = self._calls.result(trial.trial_id, result)
        return str(TrialScheduler.CONTINUE if ending is None else TrialScheduler.STOP)

    def choose_trial_to_run(self, tune_controller: "TuneController") -> "Trial | None":
        """Choose as FIFO does; Ray calls this in every round, so an interrupt is seen soon."""
        self._calls.stop_if_asked()
        return super().choose_trial_to_run(tune_controller)

    def __getstate__(self) -> dict[str, Any]:
        return {}
