"""MLflow as a view of the study: one writer, in the driver, in its own thread.

The view is derived from the study's trials alone, and a run is found again by its tag `trial`: so
a view that lags behind after a kill, that somebody damaged, or whose database was thrown away, is
made right by the next search on the study. Training never waits for it.
"""

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.study.records import TrialRecord
from pipeline.tracking.experiment import Experiment
from pipeline.tracking.told import NOTHING, Told
from regmix.errors import first_line

_FLUSH_SECONDS = 2.0
_AT_ONCE = 500  # trials in one transaction; others may write between two


@dataclass
class Tracker:
    """Shows trials in the experiment of their study.

    uri: tracking database or server.
    study: name of study and experiment.
    artifacts: folder for files; None lets a server decide.
    problem: identity of the problem in flat names, for the summary run.
    birth: what tells the study from others of its name, see `StudyRecord.birth`.
    shared: whether other drivers may run trials of the study.
    thorough: whether all that is shown is compared with the study, not the latest values alone.
    error: why the view lags behind; "" while it does not.
    """

    uri: str
    study: str
    artifacts: Path | None
    problem: Mapping[str, Any]
    birth: str = ""
    shared: bool = False
    thorough: bool = False
    error: str = ""
    _pending: dict[int, TrialRecord] = field(default_factory=dict)
    _told: Told = NOTHING
    _wake: threading.Condition = field(default_factory=threading.Condition)
    _closing: bool = False
    _thread: threading.Thread | None = None
    _experiment: Experiment | None = None

    def start(self) -> None:
        """Begin to write in the background, once; MLflow is imported there too."""
        if self._thread is not None:
            return
        self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self._thread.start()

    def trial_changed(self, trial: TrialRecord) -> None:
        """Show a change soon; MLflow is loaded after the first epoch, which it would hold up."""
        self.update(trial)
        if trial.last_epoch:
            self.start()

    def update(self, trial: TrialRecord) -> None:
        """Show this state of a trial soon; a later state replaces it.

        A copy crosses to the thread.
        """
        copied = trial.copy()
        with self._wake:
            self._pending[trial.number] = copied

    def tell(self, told: Told) -> None:
        """Show soon what the study says as a whole."""
        with self._wake:
            self._told = told

    def close(
        self,
        status: str,
        summary: Mapping[str, Any],
        files: Mapping[str, str],
        begun: Collection[int] | None = None,
    ) -> None:
        """Write what is left, end the summary run with `status`, and say in `error` what failed.

        Args:
            status: FINISHED, KILLED or FAILED.
            summary: metrics of the study as a whole.
            files: name and text of each file of the study as a whole.
            begun: numbers of all trials that the study has begun, and nobody else begins; the
                runs of others go. None keeps them.
        """
        self._stop()
        try:
            self._flush()
            experiment = self._opened()
            if begun is not None:
                experiment.keep_only(begun)
            experiment.end(status, summary, files)
            self.error = ""
        except Exception as error:  # the view is not worth a search; it is made right next time
            self.error = _in_words(error)

    def _stop(self) -> None:
        """End the thread; another driver, or a person, may have changed the view meanwhile."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._thread is not None:
            self._thread.join()
        self._experiment = None

    def _work(self) -> None:
        while True:
            try:
                self._flush()
                self.error = ""
            except Exception as error:  # locked or away: try again
                self.error = _in_words(error)
            with self._wake:
                if self._closing or self._wake.wait(_FLUSH_SECONDS) or self._closing:
                    return

    def _flush(self) -> None:
        experiment = self._opened()
        with self._wake:
            pending, self._pending = self._pending, {}
            told = self._told
        try:
            if told is not experiment.told:
                experiment.describe(told)
            while pending:
                some = sorted(pending)[:_AT_ONCE]
                experiment.show_all([pending[number] for number in some])
                for number in some:
                    del pending[number]
        except Exception:
            self._experiment = None  # what it knows may be gone: it is opened anew
            raise
        finally:
            with self._wake:
                self._pending = {**pending, **self._pending}

    def _opened(self) -> Experiment:
        if self._experiment is None:
            self._experiment = Experiment.open(
                self.uri,
                self.study,
                self.artifacts,
                self.problem,
                birth=self.birth,
                shared=self.shared,
                thorough=self.thorough,
                told=self._told,
            )
        return self._experiment


def _in_words(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)[:200]}"
