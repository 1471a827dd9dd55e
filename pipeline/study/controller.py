"""One Optuna study and all traffic with it, in the driver alone. The study is the truth."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Protocol

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline.study import optuna_private
from pipeline.study.budget import TimeBudget
from pipeline.study.contracts import Problem, Pruner, Queue, SamplerFactory
from pipeline.study.effort import Trainings, effort_of
from pipeline.study.events import EpochResult, TrialOutcome, TrialRequest
from pipeline.study.followed_storage import index_of, moment
from pipeline.study.heartbeat import Heartbeat
from pipeline.study.records import (
    BY_HAND,
    DEFAULT,
    ComputedOn,
    StudyRecord,
    TrialRecord,
    TrialWriter,
)
from regmix.ranges import Value
from regmix.training.catastrophic_overfitting import RATIO
from regmix.training.metrics import EpochMetrics

DIED, DIVERGED, OUT_OF_TIME = "its worker process died", "diverged", "the budget of"
RETRIES = {DIED: 3, "out of memory": 1}
"""Failures that are no trial's fault -> how often each is tried again. Memory may have been a
neighbour's; a loss that is not finite comes again with the same seed."""

# The states of a trial, and which method moves it:
#
#   enqueue_default,                                        report: goes on
#   Queue.refill         ask: sampled, or taken up            .-----.
#  ----------> WAITING ----------------------------> RUNNING <------'
#              ^  |                                   |   |
#              |  |      retry, requeue_own,          |   |  tell, with the outcome that report
#              |  |      requeue_orphans              |   |  or retry returned
#              '--|-----------------------------------'   '--------> COMPLETE | PRUNED | FAIL
#              ^  |  close_unfinished: begun, and the budget is used up       ^
#              |  '-----------------------------------------------------------'
#              '------- try_again: a FAIL, once a user says that its cause is mended


@dataclass
class StudyController:
    """Runs a study by ask, report and tell; a kill at any moment loses nothing.

    A trial that a dead or interrupted driver left goes back to WAITING under its own number with
    its parameters, and `ask` hands it out first. What was decided over an epoch is stored before
    Optuna learns its value: a decision is made once, and a kill doesn't repeat it.

    study: the Optuna study.
    problem: space and configuration of its trials.
    pruner: rule by which trials stop early.
    sampler: factory of each trial's sampler.
    queue: rule for which trials are still to come.
    budget: time that the study may take.
    trainings: effort that the study may take; None for no limit.
    control_every: distance between two control trials, which the pruner does not stop by rank,
        so that its mistakes are seen; 0 for none.
    min_clean: clean accuracy below which a complete trial violates a constraint; None for none.
    heartbeat: heartbeat of this driver, where others may share the study; else None.
    """

    study: Study
    problem: Problem
    pruner: Pruner
    sampler: SamplerFactory
    queue: Queue
    budget: TimeBudget = field(default_factory=TimeBudget)
    trainings: Trainings | None = None
    control_every: int = 0
    min_clean: float | None = None
    heartbeat: Heartbeat | None = None
    _live: dict[int, Trial] = field(default_factory=dict)
    _changed: dict[int, None] = field(default_factory=dict)  # an ordered set
    _last_takeover: float = 0.0  # time.monotonic()

    @property
    def record(self) -> StudyRecord:
        """The study as it is stored."""
        return StudyRecord(self.study)

    @property
    def failing(self) -> bool:
        """Whether at least three trials ended and all of them failed."""
        index = index_of(self.study)
        well = index.count(TrialState.COMPLETE, TrialState.PRUNED)
        return not well and index.count(TrialState.FAIL) >= 3

    @property
    def hopeless(self) -> bool:
        """Whether all trials failed, and none that was begun waits and may show otherwise."""
        with moment(self.study):
            return self.failing and not any(trial.begun for trial in self._in(TrialState.WAITING))

    @property
    def shared(self) -> bool:
        """Whether another driver runs trials of the study now."""
        if self.heartbeat is None:
            return False
        running = index_of(self.study).numbers(TrialState.RUNNING)
        return any(number not in self._live for number in running)

    def _in(self, state: TrialState) -> list[TrialRecord]:
        """Return the trials in a state, by number."""
        index = index_of(self.study)
        return [TrialRecord(index.trials[number]) for number in index.numbers(state)]

    @property
    def has_room(self) -> bool:
        """Whether the trial that is next can end in the time and the effort that are left."""
        return self.has_time and self.has_effort

    @property
    def has_time(self) -> bool:
        """Whether the trial that is next can end by the budget: a shorter rest is left unused."""
        return not self.budget.limited or self.budget.fits(self.epochs_of_next)

    @property
    def has_effort(self) -> bool:
        """Whether the epochs of the trial that is next fit beside what others may still need.

        What was begun has its epochs already; so no study trains more than it may.
        """
        if self.trainings is None:
            return True
        first = next(iter(self._in(TrialState.WAITING)), None)
        return (first is not None and first.begun) or self.free_trainings >= 1

    @property
    def free_trainings(self) -> int:
        """Number of full trainings that fit beside what was trained and may still be needed."""
        assert self.trainings is not None, "there is a limit"
        epochs = self.trainings.epochs
        return (self.trainings.most - effort_of(self.study).taken(epochs)) // epochs

    @property
    def to_begin(self) -> int | None:
        """Number of trials that may be handed out yet, at most; None where nothing limits it."""
        waiting, limits = self._in(TrialState.WAITING), list[int]()
        if self.queue.total is not None:
            limits.append(len(waiting) + max(0, self.queue.total - len(index_of(self.study))))
        if self.trainings is not None:
            limits.append(sum(trial.begun for trial in waiting) + max(0, self.free_trainings))
        return min(limits, default=None)

    @property
    def epochs_of_next(self) -> int:
        """Number of epochs that the trial which is next has to do."""
        first = next(iter(self._in(TrialState.WAITING)), None)
        if first is None or not first.begun:
            return self.problem.config({}).epochs
        return first.total_epochs - first.last_epoch

    def drain_changes(self) -> list[TrialRecord]:
        """Return the trials that changed since the last call, as they are now; they stay so."""
        numbers, self._changed = list(self._changed), {}
        with moment(self.study):
            return [self.record.trial(number) for number in numbers]

    def enqueue_default(
        self,
        params: Mapping[str, Value],
        moved: Mapping[str, tuple[Value, Value]] = MappingProxyType({}),
    ) -> None:
        """Let trial 0 be the recipe's own values: a search is never worse than not searching.

        Args:
            params: the values, or the nearest that the space allows.
            moved: own value and the nearest, of each parameter that is not the recipe's own.
        """
        if not len(index_of(self.study)):
            self.record.enqueue(params, DEFAULT, moved)

    def requeue_orphans(self) -> list[int]:
        """Close or requeue the RUNNING trials of dead drivers; return who was requeued.

        Without heartbeats that is every RUNNING trial, since this driver has the study alone.
        Call it while nothing runs here.
        """
        return self._requeue(None if self.heartbeat is None else self.heartbeat.stale())

    def requeue_own(self) -> list[int]:
        """Close or requeue what this driver ran, at its end; return who was requeued."""
        return self._requeue(None if self.heartbeat is None else tuple(self._live))

    def _requeue(self, numbers: Collection[int] | None) -> list[int]:
        back = []
        for trial in self._in(TrialState.RUNNING):
            if numbers is not None and trial.number not in numbers:
                continue
            if trial.outcome is not None:  # the kill came between a report and its consequence
                self._live[trial.number] = optuna_private.live(self.study, trial.frozen)
                self.tell(trial.number, trial.outcome)
                continue
            self._put_back(trial.frozen)
            back.append(trial.number)
        return back

    def _put_back(self, trial: FrozenTrial) -> None:
        if self.heartbeat is not None:  # an old beat would make it stale as soon as it runs
            self.heartbeat.beat(trial.number)
            self.heartbeat.drop(trial.number)
        optuna_private.put_back(self.study, trial)
        self._live.pop(trial.number, None)
        self._changed[trial.number] = None

    def is_waiting(self, numbers: Collection[int]) -> bool:
        """Tell whether one of these trials waits to be continued."""
        index = index_of(self.study)
        return any(n < len(index) and index.trials[n].state == TrialState.WAITING for n in numbers)

    def ask(self) -> TrialRequest | None:
        """Return the next trial, or None where there is none to begin or to continue now."""
        with moment(self.study):
            self.queue.refill()
            if self.hopeless or not self.has_room:
                return None
            if self.queue.empty():
                self._take_over()
                return None
            live = self._claim()
        with moment(self.study):  # what another driver began meanwhile is seen
            return self._begin(live) if self._is_ours(live) else None

    def _claim(self) -> Trial:
        """Take what waits, the first that came before all, else a new trial."""
        index = index_of(self.study)
        waiting = index.numbers(TrialState.WAITING)
        # Optuna hands out what waits, else a new trial under the next number
        self.study.sampler = self.sampler(waiting[0] if waiting else len(index))
        live = self.study.ask()
        self._live[live.number] = live
        if self.heartbeat is not None:
            self.heartbeat.adopt(live.number)
        return live

    def _is_ours(self, live: Trial) -> bool:
        """Give a trial up that another driver has left no room for; return whether it is kept.

        Each driver takes a trial first and looks then, so of two that took the last room one sees
        the other. What may be begun later waits; of two that were taken at once the later ends.
        """
        if self.heartbeat is None:
            return True
        number, frozen = live.number, self.record.trial(live.number).frozen
        total, begun = self.queue.total, self.record.trial(number).begun
        late = total is not None and number >= total
        crowded = not begun and self.trainings is not None and self.free_trainings < 0
        if late or (crowded and number > min(effort_of(self.study).blank)):
            self.tell(number, TrialOutcome("FAIL", "another driver began the last trial"))
        elif crowded:
            self._put_back(frozen)
        return not (late or crowded)

    def _begin(self, live: Trial) -> TrialRequest:
        """Choose a trial's parameters, and store the run that they mean."""
        config = self.problem.config(self.problem.space.suggest(live))
        TrialWriter(live).config(config.flat())
        self._changed[live.number] = None
        return TrialRequest(live.number, config, self.record.trial(live.number).last_epoch)

    def note_start(self, number: int, time: int) -> None:
        """Store when a trial began on the imagined machine of `--deterministic`."""
        TrialWriter(self._live[number]).start(time)

    def _take_over(self) -> None:
        """Look for trials of dead drivers, once in a beat."""
        heart = self.heartbeat
        if heart is not None and time.monotonic() - self._last_takeover > heart.seconds:
            self._last_takeover = time.monotonic()
            self._requeue(heart.stale())

    def report(self, number: int, result: EpochResult) -> TrialOutcome | None:
        """Store an epoch of a trial; return how the trial ends with it, None where it goes on.

        An epoch that was known before a kill is not stored twice.
        """
        with moment(self.study):
            known = self.record.trial(number)
            if result.metrics.epoch in known.known:
                return known.outcome
            self.budget.record_epoch(result.metrics)
            return self._store(known, result)

    def _store(self, known: TrialRecord, result: EpochResult) -> TrialOutcome | None:
        """Decide over an epoch that is new, and store it."""
        number, metrics = known.number, result.metrics
        live, write = self._live[number], TrialWriter(self._live[number])
        value, outcome = comparable(metrics), known.outcome_of(metrics.epoch)
        outcome = outcome or self._decide(
            known.with_epoch(metrics, value), compared=value is not None
        )
        place = ComputedOn(metrics.epoch, dict(result.machine), dict(result.versions))
        if not known.computed_on or replace(known.computed_on[-1], epoch=metrics.epoch) != place:
            write.computed_on([*known.computed_on, place])
        if outcome is not None:
            write.outcome(metrics.epoch, outcome)
        if value is not None and metrics.epoch not in known.values:
            live.report(value, metrics.epoch)
        write.epoch(metrics)
        self.record.set_seconds(self.budget.seconds)
        self._changed[number] = None
        return outcome

    def tell(self, number: int, outcome: TrialOutcome) -> None:
        """Close a trial with its true state and the reason for it."""
        with moment(self.study):
            live, trial = self._live.pop(number), self.record.trial(number)
            if self.heartbeat is not None:
                self.heartbeat.drop(number)
            if trial.outcome != outcome:
                TrialWriter(live).outcome(trial.last_epoch, outcome)
            for name, violation in violations(trial, outcome, self.min_clean).items():
                if name not in trial.constraints:  # a kill may have come after it
                    live.set_constraint(name, violation)
            value = trial.final.robust if outcome.state == "COMPLETE" else None
            self.study.tell(live, value, state=TrialState[outcome.state])
            self.record.set_seconds(self.budget.seconds)
            self._changed[number] = None

    def retry(self, number: int, reason: str) -> TrialOutcome | None:
        """Put a trial that failed without its own fault back to WAITING.

        Args:
            number: number of the trial.
            reason: kind of the failure, a key of `RETRIES`.

        Returns:
            None where it is to be continued, or FAIL where this happened too often.
        """
        trial = self.record.trial(number)
        before = 0
        for known in trial.retries:  # the cause was mended before a try by hand
            before = 0 if known.startswith(BY_HAND) else before + (known == reason)
        if before >= RETRIES[reason]:
            return TrialOutcome("FAIL", f"{reason} ({before + 1} times)")
        TrialWriter(self._live[number]).retries([*trial.retries, reason])
        self._put_back(trial.frozen)
        return None

    def try_again(self, numbers: Collection[int]) -> None:
        """Put trials back that `pipeline.study.failures.reopen` has opened again."""
        for number in numbers:
            trial = self.record.trial(number)
            write = TrialWriter(optuna_private.live(self.study, trial.frozen))
            write.retries([*trial.retries, f"{BY_HAND}{trial.reason}"])
            write.forget_outcome()
            self._put_back(trial.frozen)

    def close_unfinished(self) -> None:
        """Close every begun trial, since the budget is used up. Call it while nothing runs."""
        for trial in self._in(TrialState.WAITING):
            if trial.begun:  # a longer budget may begin the others
                optuna_private.set_running(self.study, trial.frozen)
                self._live[trial.number] = optuna_private.live(self.study, trial.frozen)
                self.tell(trial.number, self._out_of_time(trial.last_epoch))

    def _decide(self, trial: TrialRecord, *, compared: bool) -> TrialOutcome | None:
        """Return how a trial ends with its last epoch, or None where it goes on.

        Args:
            trial: the trial with that epoch.
            compared: whether the epoch has a value, without which no pruner has anything to say.
        """
        left = trial.total_epochs - trial.last_epoch
        if left <= 0:
            return TrialOutcome("COMPLETE")
        stop = self.pruner.stop(self.study, trial.frozen) if compared else None
        if stop is not None and (stop.certain or not self._goes_on(trial, stop.reason)):
            return TrialOutcome("PRUNED", stop.reason)
        return None if self.budget.allows(left) else self._out_of_time(trial.last_epoch)

    def _goes_on(self, trial: TrialRecord, reason: str) -> bool:
        """Tell whether a trial is not stopped by rank: the default, or a control trial."""
        if trial.is_default:
            return True
        every = self.control_every
        if not every or trial.number % every != every - 1:
            return False
        if not trial.would_prune:
            TrialWriter(self._live[trial.number]).would_prune(reason)
        return True

    def _out_of_time(self, epoch: int) -> TrialOutcome:
        budget = self.budget.budget
        return TrialOutcome("PRUNED", f"{OUT_OF_TIME} {budget:.0f} s ended at epoch {epoch}")


class TrialListener(Protocol):
    """Receives every change of a trial, for instance to show it."""

    def trial_changed(self, trial: TrialRecord) -> None:
        """Take a copy of the trial in its new state."""


def comparable(metrics: EpochMetrics) -> float | None:
    """Return the value by which an epoch is compared with those of other trials, in [0, 1].

    It is the robust accuracy of the averaged weights; None where the epoch has no validation. After
    catastrophic overfitting it is what the present weights are worth, if that is less: their
    average lags behind.
    """
    robust = metrics.valid_robust
    if not metrics.co_detected:
        return robust
    return metrics.raw_pgd if robust is None else min(robust, metrics.raw_pgd)


def violations(
    trial: TrialRecord, outcome: TrialOutcome, min_clean: float | None
) -> dict[str, float]:
    """Return by how much a trial violates each constraint; 0 or less where it holds it.

    Args:
        trial: the trial with its epochs.
        outcome: outcome of the trial.
        min_clean: clean accuracy that a complete trial must have; None for no such constraint.
    """
    ratios = [metrics.co_ratio for metrics in trial.epochs.values() if metrics.co_detected]
    found = {"catastrophic_overfitting": RATIO - min(ratios)} if ratios else {}
    if min_clean is not None and outcome.state == "COMPLETE":
        assert trial.clean is not None, "the last epoch has a validation"
        found["clean"] = min_clean - trial.clean
    return found
