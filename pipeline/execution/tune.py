"""Ray Tune as an executor: it places and runs trials, and decides nothing.

Ray calls a searcher for trials, and a scheduler for what becomes of them; they share a session. A
result goes to the scheduler, which may stop the trial; a trial's last result (done, or stopped)
comes to the searcher as its completion.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

from ray import tune
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from pipeline.execution.actor import TrialActor
from pipeline.execution.gpu_share import MeasuredShare
from pipeline.execution.messages import (
    DiskFailure,
    OtherCode,
    Reply,
    TrialFailure,
    WorkerRequest,
)
from pipeline.execution.orderly_stop import OrderlyStop
from pipeline.execution.phases import Phases, Watcher
from pipeline.execution.places import Places
from pipeline.problem.environment import CODE_DIGEST
from pipeline.study.controller import DIED, RETRIES, StudyController, TrialListener
from pipeline.study.events import EpochResult, TrialOutcome
from pipeline.study.result_order import ResultOrder
from pipeline.study.retention import Retention
from regmix.errors import InputError
from regmix.images import Split
from regmix.plugins import Plugins
from regmix.training.metrics import EpochMetrics


@dataclass
class TuneSession:
    """What searcher and scheduler share: which Ray trial is which of the study, and its end.

    controller: the study.
    order: order in which results reach the study.
    retention: rule for the files of its trials.
    places: places for trials, and what each trial gets.
    stop: event that is set from outside to end early.
    stopping: what has workers write their checkpoints before they end.
    listeners: views that are told of every change of a trial.
    bugs: number of a trial -> traceback, of trials that met a bug.
    differing: numbers of trials that repeated epochs after a kill, and got other metrics.
    watchers: views that are told how many trials may run at once, and how far each has come.
    most: number of trials under way at once, beyond which more room is of no use.
    phases: what workers say of the epochs that they are in.
    """

    controller: StudyController
    order: ResultOrder
    retention: Retention
    places: Places
    stop: Event
    stopping: OrderlyStop
    listeners: Sequence[TrialListener] = ()
    bugs: dict[int, str] = field(default_factory=dict)
    differing: set[int] = field(default_factory=set)
    watchers: Sequence[Watcher] = ()
    most: int = sys.maxsize
    phases: Phases = field(default_factory=Phases)
    out_of_time: bool = False
    error: OSError | InputError | None = None  # which no trial is to blame for; Ray would wrap it
    _numbers: dict[str, int] = field(default_factory=dict)  # Ray's trial id -> study's number
    _outcomes: dict[int, TrialOutcome] = field(default_factory=dict)  # Ray still runs these

    @contextlib.contextmanager
    def event(self) -> Iterator[None]:
        """Handle one of Ray's events: keep an error as it is, and tell the listeners."""
        try:
            yield
        except (OSError, InputError) as error:
            self.error = error
            raise
        finally:
            self.publish()

    def publish(self) -> None:
        """Tell the listeners what has changed."""
        for trial in self.controller.drain_changes():
            for listener in self.listeners:
                listener.trial_changed(trial)

    def stop_if_requested(self) -> None:
        """Raise between two events, never within one: the study's file is whole then.

        An error raised within an event would be Ray's to handle: it would blame the trial.
        """
        if self.error is not None:
            raise self.error
        self.out_of_time = self.controller.budget.exhausted
        if self.stop.is_set() or self.out_of_time:
            raise KeyboardInterrupt

    @property
    def share(self) -> MeasuredShare | None:
        """What measures the share of a GPU of each trial; None where it was given."""
        return self.places.measured

    @property
    def full(self) -> bool:
        """Whether as many trials run as may run at once."""
        return len(self._numbers) >= self.places.now

    def look(self) -> None:
        """Follow the cluster's nodes, and tell the watchers what has changed."""
        if self.places.refresh(self._wanted):
            for watcher in self.watchers:
                watcher.places_changed(self.places.now)

    def watch(self) -> None:
        """Tell the watchers how far the running trials have come, every few seconds."""
        if self.watchers and self.phases.due():
            known = self.phases.read(self._numbers.values())
            for watcher in self.watchers:
                watcher.phases_changed(known)

    def _wanted(self) -> int:
        """Return how many trials could run now, at most, if there were room."""
        controller, running = self.controller, len(self._numbers)
        if controller.hopeless or not controller.has_room or controller.queue.empty():
            return running
        left = controller.to_begin
        return self.most if left is None else min(self.most, running + max(1, left))

    @property
    def done(self) -> bool:
        """Whether no trial runs anywhere, and none is left to be begun where there is no room."""
        if not self.idle or self.places.now:
            return False
        self.controller.queue.refill()
        return self._wanted() == 0

    @property
    def idle(self) -> bool:
        """Whether no trial runs, here or at another driver."""
        return not self._numbers and not self.controller.shared

    def suggest(self, trial_id: str) -> WorkerRequest | None:
        """Return what a worker needs for the next trial, or None where there is none now."""
        request = self.order.suggest()
        if request is None:
            return None
        given = self.places.given
        self._numbers[trial_id] = request.number
        return WorkerRequest(
            number=request.number,
            config=request.config.flat(),
            resume_epoch=request.resume_epoch,
            files_uri=self.retention.files.uri,
            threads=given.threads,
            cpus=given.cpus,
            gpus=given.gpus,
            checkpoint_seconds=self.stopping.seconds,
        )

    def take(self, trial_id: str, reply: Reply) -> bool:
        """Take what a worker replied; return whether its trial has ended.

        Raises:
            OSError: where the worker's disk refused.
            InputError: where the worker runs other code.
        """
        number = self._numbers[trial_id]
        if number in self._outcomes:
            return True
        if isinstance(reply, DiskFailure):
            raise OSError(reply.errno, "disk", reply.filename)
        if isinstance(reply, OtherCode):
            raise _other_code(reply)
        if isinstance(reply, TrialFailure):
            if self.share is not None and reply.kind == "out of memory":
                self.share.ran_out(number)
            self._take_failure(number, reply)
            return number in self._outcomes
        if self.share is not None:
            self.share.report(number, reply)
        if reply.metrics.epoch in self.controller.record.trial(number).known:
            self._compare(number, reply.metrics)  # its checkpoint is older than a kill
        else:
            self._settle(number, reply)
        return number in self._outcomes

    def _compare(self, number: int, again: EpochMetrics) -> None:
        """Hold an epoch that was trained again against what the study knows, which counts."""
        known = self.controller.record.trial(number).metrics(again.epoch)
        if replace(again, seconds=known.seconds) != known:
            self.differing.add(number)

    def save(self) -> None:
        """Let every trial write what it has finished, before its worker ends.

        Raises:
            OSError: where a worker's disk refused.
        """
        for trial_id, failure in self.stopping.save():
            if isinstance(failure, DiskFailure):
                raise OSError(failure.errno, "disk", failure.filename)
            if failure.traceback:
                self.bugs.setdefault(self._numbers[trial_id], failure.traceback)

    def _take_failure(self, number: int, failure: TrialFailure) -> None:
        if failure.traceback:
            self.bugs.setdefault(number, failure.traceback)
        if failure.kind in RETRIES:
            self._retry(number, failure.kind)
        else:
            self._settle(number, TrialOutcome("FAIL", failure.reason))

    def _retry(self, number: int, reason: str) -> None:
        outcome = self.controller.retry(number, reason)
        self.order.forget(number)
        if outcome is not None:
            self._settle(number, outcome)

    def _settle(self, number: int, event: EpochResult | TrialOutcome) -> None:
        """Give an event to the study, and remember which trials ended by it."""
        running = set(self._numbers.values())
        for ended, outcome in self.order.take(number, event):
            if ended in running:
                self._outcomes[ended] = outcome
            else:
                self._retain()

    def complete(self, trial_id: str, reply: Reply | None) -> None:
        """Take the last reply, which never reaches the scheduler, and forget the Ray trial.

        Args:
            trial_id: Ray's name of the trial.
            reply: reply of the worker; None where it died.
        """
        if self.error is not None:  # no fault of the trial: the study has it still to do
            return
        number = self._numbers[trial_id]
        if self.share is not None:
            self.share.leave(number)
        if number not in self._outcomes:
            if reply is None:
                self.places.doubt()
                self._retry(number, DIED)
            else:
                self.take(trial_id, reply)
        del self._numbers[trial_id]
        self.stopping.forget(trial_id)
        self.phases.forget(number)
        if self._outcomes.pop(number, None):
            self._retain()

    def _retain(self) -> None:
        self.retention.apply(busy=self._numbers.values())


def _other_code(reply: OtherCode) -> InputError:
    return InputError(
        f"{reply.host}:{reply.folder}: a worker must run the code of this command (digest "
        f"{CODE_DIGEST}), but has {reply.digest}; bring both to one version; nothing is lost"
    )


class StudySearcher(Searcher):
    """Asks the study for trials and tells it their ends."""

    def __init__(self, session: TuneSession) -> None:
        super().__init__()  # without a metric: values reach the study through the scheduler
        self._session = session

    def set_search_properties(self, *_: object, **__: object) -> bool:
        """Accept whatever Ray sets: the space is the study's."""
        return True

    def suggest(self, trial_id: str) -> Any:  # noqa: ANN401  (Ray's FINISHED is a str)
        """Return a trial's worker configuration, None to wait, or FINISHED."""
        session = self._session
        session.stop_if_requested()
        session.look()
        if session.full:
            return Searcher.FINISHED if session.done else None
        with session.event():
            request = session.suggest(trial_id)
        if request is not None:
            return {"request": request}
        # while trials run, one may come back: its worker or driver may die
        return Searcher.FINISHED if session.idle else None

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Do nothing: the scheduler reports."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Tell the study."""
        reply = None if error or not result else result["reply"]
        with self._session.event():
            self._session.complete(trial_id, reply)

    def save(self, checkpoint_path: str) -> None:
        """Save nothing: the study remembers."""

    def restore(self, checkpoint_path: str) -> None:
        """Restore nothing."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class StudyScheduler(FIFOScheduler):
    """Reports each epoch to the study and stops a trial when the study says so."""

    def __init__(self, session: TuneSession) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._session = session

    def on_trial_result(
        self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]
    ) -> str:
        """Return STOP where the study has ended the trial."""
        self._session.stopping.note(trial.trial_id, result["unsaved"])
        self._session.stop_if_requested()
        with self._session.event():
            ended = self._session.take(trial.trial_id, result["reply"])
        return str(TrialScheduler.STOP if ended else TrialScheduler.CONTINUE)

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Choose as FIFO does; Ray calls this in every round, so an interrupt is seen soon."""
        self._session.stopping.trials = tune_controller.get_live_trials
        self._session.stop_if_requested()
        self._session.watch()
        return super().choose_trial_to_run(tune_controller)

    def __getstate__(self) -> dict[str, Any]:
        return {}


def _resources(config: dict[str, Any]) -> tune.PlacementGroupFactory:
    """Return what a trial asks Ray for; only trials that ask for the same share an actor."""
    request: WorkerRequest = config["request"]
    return tune.PlacementGroupFactory([{"CPU": request.cpus, "GPU": request.gpus}])


def run_trials(session: TuneSession, data: Split, plugins: Plugins | None, scratch: str) -> None:
    """Run the study's trials until it has all that it shall have.

    Args:
        session: the study and how its trials run; call it within `ray_session`.
        data: images of all trials, put into Ray's object store once: workers read them there.
        plugins: variants outside of the tool, which workers are given.
        scratch: the folder that `ray_session` yields.

    Raises:
        OSError: where the disk is full.
        InputError: where a worker runs other code than this process.
        KeyboardInterrupt: after the session's `stop` was set, and what trials had was written.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(sys.maxsize)  # `full` says how many
    actor = tune.with_parameters(TrialActor, data=data, plugins=plugins, code=CODE_DIGEST)
    tuner = tune.Tuner(
        tune.with_resources(actor, _resources),
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(session),
            scheduler=StudyScheduler(session),
            num_samples=-1,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(storage_path=scratch, name="search", verbose=0),
    )
    try:
        tuner.fit()
    except KeyboardInterrupt:
        if not session.out_of_time:  # else no trial goes on
            session.save()
            raise
    except Exception:
        if session.error is not None:  # as it was, not as Ray wrapped it
            raise session.error from None
        raise
    finally:
        session.phases.forget_all()
