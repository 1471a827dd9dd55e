"""One Optuna study: all its traffic, in the driver only. The study is the truth of a search."""

import time
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline import samplers
from pipeline.pruners import Pruner
from pipeline.study.budget import TimeBudget
from pipeline.study.contracts import Asked, TrialRequest
from pipeline.study.heartbeat import Heartbeat
from pipeline.study.records import TrialOutcome, decided, violations, with_epoch
from pipeline.study.remarks import latest
from regmix.training.metrics import EpochMetrics


@dataclass
class StudyController:
    """Asks, reports and tells, so that a kill at any moment loses nothing.

    A trial that a dead or interrupted driver left goes back to WAITING under its own number with
    its parameters, and `ask` hands it out first. What was decided over an epoch is stored before
    the epoch: a decision is made once, and a kill doesn't make it again with other trials.

    trials: that the study shall have.
    probes: one trial in so many is never pruned by rank, so that the rule's mistakes are seen;
        0 for none.
    min_clean: clean accuracy below which a complete trial breaks a constraint.
    kept: so many of the best complete trials keep their weights, and the default.
    heartbeat: where other drivers may share the study; None where this one has it alone.
    front: whether the sampler seeks the front of robust and clean accuracy.
    """

    study: Study
    question: Asked
    pruner: Pruner
    sampler: str
    seed: int
    trials: int
    clock: TimeBudget = field(default_factory=TimeBudget)
    probes: int = 0
    min_clean: float | None = None
    front: bool = False
    kept: int = 10
    heartbeat: Heartbeat | None = None
    changed: Callable[[FrozenTrial], None] = lambda trial: None
    _live: dict[int, Trial] = field(default_factory=dict)
    _looked: float = 0.0

    def __post_init__(self) -> None:
        if self.heartbeat is not None:
            self.heartbeat.mine = self._live.keys

    @property
    def hopeless(self) -> bool:
        """Whether the first three trials that ended all failed."""
        ended = [t.state for t in self.study.get_trials(deepcopy=False) if t.state.is_finished()]
        return len(ended) >= 3 and set(ended) == {TrialState.FAIL}

    def begin(self) -> None:
        """Let trial 0 be the recipe's own values: a search is never worse than not searching."""
        if not self.study.get_trials(deepcopy=False):
            self.study.enqueue_trial(self.question.default(), user_attrs={"origin": "default"})

    def recover(self) -> list[int]:
        """Close or put back to WAITING what no living driver runs; return the numbers put back.

        Without heartbeats that is every RUNNING trial, since this driver has the study alone.
        Call it while nothing runs here.
        """
        return self._release(None if self.heartbeat is None else self.heartbeat.stale())

    def release(self) -> list[int]:
        """Put back what this driver ran, at its end; return the numbers."""
        return self._release(None if self.heartbeat is None else tuple(self._live))

    def _release(self, numbers: Collection[int] | None) -> list[int]:
        back = []
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if numbers is not None and trial.number not in numbers:
                continue
            if ending := decided(trial):  # the kill came between a report and its consequence
                self._live[trial.number] = Trial(self.study, trial._trial_id)
                self.tell(trial.number, ending)
                continue
            self._put_back(trial)
            back.append(trial.number)
        return back

    def _put_back(self, trial: FrozenTrial) -> None:
        if self.heartbeat is not None:  # an old beat would make it stale as soon as it runs
            self.heartbeat.beat(trial.number)
        # Optuna has no public way back; every storage allows this one
        self.study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
        self._live.pop(trial.number, None)
        self.changed(self.frozen(trial.number))

    def remaining(self) -> int:
        """Return how many trials are still to be begun or continued."""
        everything = self.study.get_trials(deepcopy=False)
        waiting = sum(trial.state == TrialState.WAITING for trial in everything)
        return waiting + max(0, self.trials - len(everything))

    def waiting(self, numbers: Collection[int]) -> bool:
        """Tell whether one of these trials waits to be continued."""
        left = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return any(trial.number in numbers for trial in left)

    def ask(self) -> TrialRequest | None:
        """Return the next trial, or None where there is none to begin or to continue now."""
        everything = self.study.get_trials(deepcopy=False)
        waiting = [trial for trial in everything if trial.state == TrialState.WAITING]
        # a begun trial comes before a new one, and may still show that there is hope
        again = any("config" in trial.user_attrs for trial in waiting)
        if not self.clock.open or (self.hopeless and not again):
            return None
        if not self.remaining():
            self._take_over()
            return None
        number = waiting[0].number if waiting else len(everything)  # that Optuna will hand out
        self.study.sampler = samplers.build(
            self.sampler, self.seed, number, self.question.space, front=self.front
        )
        trial = self.study.ask()
        self._live[trial.number] = trial
        if self.heartbeat is not None:
            self.heartbeat.beat(trial.number)
            if trial.number >= self.trials:
                self.tell(trial.number, TrialOutcome("FAIL", "another driver began the last trial"))
                return None
        config = self.question.config(self.question.space.suggest(trial))
        trial.set_user_attr("config", config.flat())
        frozen = self.frozen(trial.number)
        self.changed(frozen)
        return TrialRequest(trial.number, config, frozen.last_step or 0)

    def _take_over(self) -> None:
        """Look for trials of dead drivers, once in a beat."""
        heart = self.heartbeat
        if heart is not None and time.monotonic() - self._looked > heart.seconds:
            self._looked = time.monotonic()
            self._release(heart.stale())

    @property
    def shared(self) -> bool:
        """Whether another driver runs trials of the study now."""
        if self.heartbeat is None:
            return False
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return any(trial.number not in self._live for trial in running)

    def report(
        self, number: int, metrics: EpochMetrics, machine: dict[str, Any]
    ) -> TrialOutcome | None:
        """Store an epoch; return how the trial ends with it, or None where it goes on.

        An epoch that was known before a kill is not stored twice.

        Args:
            number: of the trial.
            metrics: of its latest epoch.
            machine: what it was computed on, see `regmix.device.machine`.
        """
        self.clock.saw(metrics.seconds)
        known = self.frozen(number)
        if metrics.epoch in known.intermediate_values:
            return decided(known)
        trial = self._live[number]
        reported = with_epoch(known, metrics)
        ending = self._judge(reported, metrics)
        trial.set_user_attr(f"epoch_{metrics.epoch}", asdict(metrics))
        if known.user_attrs.get("machine") != machine:
            trial.set_user_attr("machine", machine)
        if ending is not None:
            trial.set_user_attr("ending", {"epoch": metrics.epoch, **asdict(ending)})
        trial.report(reported.intermediate_values[metrics.epoch], metrics.epoch)
        if self.clock.budget < float("inf"):
            self.study.set_user_attr("seconds", self.clock.seconds)
        self.changed(self.frozen(number))
        return ending

    def tell(self, number: int, ending: TrialOutcome) -> None:
        """Close a trial with its true state and the reason for it."""
        trial, frozen = self._live.pop(number), self.frozen(number)
        if ending.reason:
            trial.set_user_attr("reason", ending.reason)
        for name, violation in violations(frozen, ending, self.min_clean).items():
            if name not in frozen.constraints:  # a kill may have come after it
                trial.set_constraint(name, violation)
        value = None
        if ending.state == "COMPLETE":
            final = latest(frozen).final
            assert final is not None, "the last epoch is evaluated"
            value = final.robust
        self.study.tell(trial, value, state=TrialState[ending.state])
        self.study.set_user_attr("seconds", self.clock.seconds)
        self.changed(self.frozen(number))

    def retry(self, number: int, reason: str, allowed: int) -> TrialOutcome | None:
        """Put a trial back to WAITING that came to grief without its own fault.

        Returns:
            None where it is to be continued, or FAIL where this happened more often than allowed.
        """
        frozen = self.frozen(number)
        known = frozen.user_attrs.get("retries", [])
        before = known.count(reason)
        if before >= allowed:
            return TrialOutcome("FAIL", f"{reason} ({before + 1} times)")
        self._live[number].set_user_attr("retries", [*known, reason])
        self._put_back(frozen)
        return None

    def cut(self) -> None:
        """Close every begun trial, since the budget is used up. Call it while nothing runs."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            if "config" in trial.user_attrs:  # else never begun: a longer budget may
                self.study._storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
                self._live[trial.number] = Trial(self.study, trial._trial_id)
                self.tell(trial.number, self._unpaid(trial.last_step or 0))

    def frozen(self, number: int) -> FrozenTrial:
        """Return the trial as the storage knows it."""
        return self.study.get_trials(deepcopy=False)[number]

    def _judge(self, trial: FrozenTrial, metrics: EpochMetrics) -> TrialOutcome | None:
        """Return how a trial ends with this epoch, its last, or None where it goes on."""
        left = trial.user_attrs["config"]["epochs"] - metrics.epoch
        if left <= 0:
            return TrialOutcome("COMPLETE")
        stop = self.pruner.stop(self.study, trial)
        if stop is not None and (stop.certain or not self._spared(trial, stop.reason)):
            return TrialOutcome("PRUNED", stop.reason)
        return None if self.clock.allows(left) else self._unpaid(metrics.epoch)

    def _spared(self, trial: FrozenTrial, reason: str) -> bool:
        """Tell whether a trial is the measure of the others; remember what the rule would do."""
        if trial.user_attrs.get("origin") == "default":
            return True
        if not self.probes or trial.number % self.probes != self.probes - 1:
            return False
        if "spared" not in trial.user_attrs:
            self._live[trial.number].set_user_attr("spared", reason)
        return True

    def _unpaid(self, epoch: int) -> TrialOutcome:
        return TrialOutcome(
            "PRUNED", f"the budget of {self.clock.budget:.0f} s ended at epoch {epoch}"
        )
