"""One Optuna study: all its traffic, in the driver only. The study is the truth of a search."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline import samplers
from pipeline.pruners import Pruner
from pipeline.question import Question
from pipeline.reported import latest
from regmix.config import TrainConfig
from regmix.metrics import EpochMetrics


@dataclass(frozen=True)
class TrialRequest:
    """A trial to run or to continue."""

    number: int
    config: TrainConfig
    reported: int  # the last epoch that the study knows; 0 for a new trial


@dataclass(frozen=True)
class Ending:
    """How a trial ended, and why where it did not reach its end."""

    state: Literal["COMPLETE", "PRUNED", "FAIL"]
    reason: str = ""


@dataclass
class StudyBridge:
    """Asks, reports and tells, so that a kill at any moment loses nothing.

    A trial that a dead or interrupted driver left goes back to WAITING under its own number with
    its parameters, and `ask` hands it out first.
    """

    study: Study
    question: Question
    pruner: Pruner
    sampler: str
    seed: int
    trials: int  # that the study shall have
    budget: float = float("inf")  # seconds for the whole study, over all its sessions
    changed: Callable[[FrozenTrial], None] = lambda trial: None
    trained: float = 0.0  # seconds that workers spent in epochs, in this session
    first_report: float = 0.0  # time.monotonic() of the first epoch of this session
    _live: dict[int, Trial] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._spent_before = float(self.study.user_attrs.get("seconds", 0.0))

    @property
    def seconds(self) -> float:
        """Seconds that the study took, over all its sessions."""
        return self._spent_before + time.monotonic() - self._begun

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
        """Put every RUNNING trial back to WAITING and return their numbers.

        Call it only while this driver alone holds the study and nothing runs.
        """
        left = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        for trial in left:  # Optuna has no public way back; every storage allows this one
            self.study._storage.set_trial_state_values(trial._trial_id, TrialState.WAITING)
            self.changed(self.frozen(trial.number))
        self._live.clear()
        return [trial.number for trial in left]

    def progress(self) -> tuple[int, int]:
        """Return how many trials have ended, and how many were begun and wait to go on."""
        everything = self.study.get_trials(deepcopy=False)
        begun = [t for t in everything if not t.state.is_finished() and "config" in t.user_attrs]
        return sum(trial.state.is_finished() for trial in everything), len(begun)

    def remaining(self) -> int:
        """Return how many trials are still to be begun or continued."""
        everything = self.study.get_trials(deepcopy=False)
        waiting = sum(trial.state == TrialState.WAITING for trial in everything)
        return waiting + max(0, self.trials - len(everything))

    def ask(self) -> TrialRequest | None:
        """Return the next trial, or None where the study has all that it shall have."""
        while self.remaining() and self.seconds < self.budget and not self.hopeless:
            number = len(self.study.get_trials(deepcopy=False))
            self.study.sampler = samplers.build(self.sampler, self.seed, number)
            trial = self.study.ask()
            self._live[trial.number] = trial
            config = self.question.config(self.question.space.suggest(trial))
            trial.set_user_attr("config", config.flat())
            frozen = self.frozen(trial.number)
            self.changed(frozen)
            ending = self._judge(frozen)
            if ending is None:
                return TrialRequest(trial.number, config, frozen.last_step or 0)
            self.tell(trial.number, ending)  # the kill came between a report and its consequence
        return None

    def report(self, number: int, metrics: EpochMetrics, machine: dict[str, Any]) -> Ending | None:
        """Store an epoch; return how the trial ends with it, or None where it goes on.

        An epoch that was known before a kill is not stored twice.

        Args:
            number: of the trial.
            metrics: of its latest epoch.
            machine: what it was computed on, see `regmix.device.machine`.
        """
        self.first_report = self.first_report or time.monotonic()
        self.trained += metrics.seconds
        if metrics.epoch not in self.frozen(number).intermediate_values:
            trial = self._live[number]
            trial.set_user_attr(f"epoch_{metrics.epoch}", asdict(metrics))
            trial.set_user_attr("machine", machine)
            trial.report(metrics.valid_robust, metrics.epoch)
        frozen = self.frozen(number)
        self.changed(frozen)
        return self._judge(frozen)

    def tell(self, number: int, ending: Ending) -> None:
        """Close a trial with its true state and the reason for it."""
        trial, frozen = self._live.pop(number), self.frozen(number)
        if ending.reason:
            trial.set_user_attr("reason", ending.reason)
        value = None
        if ending.state == "COMPLETE":
            judged = latest(frozen).judged
            assert judged is not None, "the last epoch is judged"
            value = judged.robust
        self.study.tell(trial, value, state=TrialState[ending.state])
        self.study.set_user_attr("seconds", self.seconds)
        self.changed(self.frozen(number))

    def frozen(self, number: int) -> FrozenTrial:
        """Return the trial as the storage knows it."""
        return self.study.get_trials(deepcopy=False)[number]

    def _judge(self, trial: FrozenTrial) -> Ending | None:
        """Return how a trial ends with its last reported epoch, or None where it goes on."""
        epoch = trial.last_step
        if epoch is None:
            return None
        if epoch >= trial.user_attrs["config"]["epochs"]:
            return Ending("COMPLETE")
        if trial.user_attrs.get("origin") != "default":  # the measure of all others
            reason = self.pruner.reason(self.study, trial)
            if reason is not None:
                return Ending("PRUNED", reason)
        if self.seconds >= self.budget:
            return Ending("PRUNED", f"the budget of {self.budget:.0f} s ended at epoch {epoch}")
        return None
