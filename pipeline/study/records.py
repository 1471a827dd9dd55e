"""What a study stores of itself and of its trials beside Optuna's own fields: all of it, typed.

Nobody else reads or writes a user attribute. The attributes of a trial, and who writes them:

    config         flat configuration of the run                  StudyController.ask
    origin         where its parameters come from; absent: sampled  whoever enqueues it
    moved          own value and that which runs, of parameters   StudyController.enqueue_default,
                   whose own value is outside the space           warm_start
    epoch_N        metrics of epoch N                             StudyController.report
    computed_on    machine and versions, from which epoch on      StudyController.report
    would_prune    reason of a stop that a control trial ignored  StudyController.report
    outcome        epoch, state and reason of its end             StudyController.report, tell
    retries        reasons for which it was tried again           StudyController.retry, try_again
    start          when it began on the machine of --deterministic  Lockstep

and of a study:

    format         number of this format                          begin_study
    birth          what tells it from others of its name          begin_study
    problem        identity of recipe, space and overrides        hold
    rules          what is sought, and in which order             hold
    data           fingerprint, classes and shape of its images   hold
    checkpoints    URL of the object store, if any                hold
    plugins        digests of the plug-ins that it uses           hold
    source         of a race: birth of the search that it is of   hold
    versions       versions with which it was begun               begin_study
    asked          limits that were typed: trainings, trials, s   ask_for
    extent         limits that hold: these, or the default        set_extent
    source_N       what is copied of the Nth study of --from      begin_from
    sources        names of these studies                         begin_from
    seconds        seconds that it took, over all sessions        StudyController.report, tell
    methods        sampler, pruner and their numbers, as changed  use
    pointless      why further trials are, once they are         UntilNoise
    forecast       hyperparameters of the curves' model, and the
                   number of values that they were sought with    forecast
    eliminated_N   finalists that dropped out after seed N        RoundQueue

An epoch's metrics are the last that is stored of it: then it is known. Its outcome and its value
come before, the outcome also before the state changes: what was decided is decided once, and a kill
between two writes does not decide it again.
"""

import copy
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from pipeline.study import optuna_private
from pipeline.study.copied_study import CopiedStudy
from pipeline.study.events import TrialOutcome
from pipeline.study.followed_storage import copied, index_of
from regmix.errors import InputError, cut, first_line
from regmix.evaluation.results import FinalEvaluation
from regmix.ranges import Value
from regmix.training.metrics import EpochMetrics

FORMAT = 5
"""Number of the format; version 0.1.0 had none. Increase it when an attribute changes."""

DEFAULT = "default"
"""Origin of the trial with the recipe's own values, or the nearest to them in the space."""

BY_HAND = "by --retry-failed after: "
"""Beginning of a reason in `retries`: a session put the failed trial back since it was told to."""

_MEASURED = frozenset({bool, int, float, FinalEvaluation, type(None)})  # what metrics are
_ELIMINATED = "eliminated_"
_EPOCH = "epoch_"
_SOURCE = "source_"


class EmptyStudyError(InputError):
    """A study that was killed as it began: there is nothing in it to read."""

    @classmethod
    def of(cls, name: str, option: str) -> "EmptyStudyError":
        """Return the error for a study that was named by an option."""
        return cls(
            f"{option} {name}: is empty: its first search was killed as it began; run that search "
            "again"
        )


@dataclass(frozen=True)
class ComputedOn:
    """What epochs of a trial depend on beside its configuration.

    epoch: the first of them.
    machine: device and threads, see `regmix.device.machine`.
    versions: versions and digest of the code, see `pipeline.problem.environment.versions`.
    """

    epoch: int
    machine: dict[str, Any]
    versions: dict[str, str]


@dataclass(frozen=True)
class TrialRecord:
    """A trial as its study knows it."""

    frozen: FrozenTrial

    @property
    def number(self) -> int:
        """Number of the trial in its study, from 0."""
        return self.frozen.number

    @property
    def state(self) -> str:
        """WAITING, RUNNING, COMPLETE, PRUNED or FAIL."""
        return self.frozen.state.name

    @property
    def ended(self) -> bool:
        """Whether it is COMPLETE, PRUNED or FAIL."""
        return self.frozen.state.is_finished()

    @property
    def params(self) -> dict[str, Any]:
        """Searched parameters; empty before the trial is begun."""
        return self.frozen.params

    @property
    def begun(self) -> bool:
        """Whether a worker was ever given it; an enqueued trial waits before that."""
        return "config" in self.frozen.user_attrs

    @property
    def config(self) -> Mapping[str, Value]:
        """Flat configuration of the run."""
        found: Mapping[str, Value] = self.frozen.user_attrs["config"]
        return found

    @property
    def total_epochs(self) -> int:
        """Number of epochs of the whole run."""
        epochs = self.config["epochs"]
        assert isinstance(epochs, int), "a configuration has its number of epochs"
        return epochs

    @cached_property
    def known(self) -> list[int]:
        """Epochs that were reported, in their order: those whose metrics are stored."""
        names, begin = self.frozen.user_attrs, len(_EPOCH)
        return sorted([int(name[begin:]) for name in names if name.startswith(_EPOCH)])

    @property
    def last_epoch(self) -> int:
        """Last epoch that was reported; 0 before the first."""
        return max(self.known, default=0)

    @property
    def values(self) -> Mapping[int, float]:
        """Epoch -> value by which trials are compared there, in [0, 1]; not every epoch has one."""
        return self.frozen.intermediate_values

    @property
    def value(self) -> float | None:
        """The last of these values; None while there is none."""
        return self.values[max(self.values)] if self.values else None

    @cached_property
    def epochs(self) -> Mapping[int, EpochMetrics]:
        """Epoch -> all that was measured, in the order of the epochs."""
        return {epoch: self.metrics(epoch) for epoch in self.known}

    def metrics(self, epoch: int) -> EpochMetrics:
        """Return what was measured after an epoch."""
        return EpochMetrics.from_dict(self.frozen.user_attrs[f"{_EPOCH}{epoch}"])

    @property
    def latest(self) -> EpochMetrics:
        """What was measured after the last epoch; only for a trial that reported one."""
        return self.metrics(self.last_epoch)

    @property
    def clean(self) -> float | None:
        """Clean accuracy on the validation images, when it was last measured; None before that."""
        found = (self.metrics(epoch).valid_clean for epoch in reversed(self.known))
        return next((clean for clean in found if clean is not None), None)

    @property
    def final(self) -> FinalEvaluation:
        """The evaluation after the last epoch of a complete trial."""
        found = self.latest.final
        assert found is not None, "a complete trial is evaluated"
        return found

    @property
    def final_robust(self) -> float | None:
        """The objective, in [0, 1]; None for a trial that is not complete."""
        return self.frozen.value if self.frozen.state == TrialState.COMPLETE else None

    @property
    def outcome(self) -> TrialOutcome | None:
        """How it ends with the last epoch that the study knows; None while it goes on."""
        return self.outcome_of(self.last_epoch)

    def outcome_of(self, epoch: int) -> TrialOutcome | None:
        """Return how it ends with an epoch, where that is stored; a kill may come before more."""
        stored = self.frozen.user_attrs.get("outcome")
        if stored is None or stored["epoch"] != epoch:
            return None
        return TrialOutcome(stored["state"], stored["reason"])

    @property
    def reason(self) -> str:
        """Why it ended before its last epoch; '' for all others."""
        return self.outcome.reason if self.outcome else ""

    @property
    def origin(self) -> str:
        """Where its parameters come from: 'sampled', DEFAULT, or in words."""
        found = str(self.frozen.user_attrs.get("origin", "sampled"))
        if not self.moved:
            return found
        nearest = "nearest to the default" if self.is_default else f"{found}, nearest"
        return f"{nearest}: {_changes(self.moved)}"

    @property
    def is_default(self) -> bool:
        """Whether it has the recipe's own values, or the nearest to them: see `moved`."""
        return self.frozen.user_attrs.get("origin") == DEFAULT

    @property
    def moved(self) -> Mapping[str, tuple[Value, Value]]:
        """Parameter -> its own value at the origin, outside of the space, and that which runs."""
        found: Mapping[str, list[Value]] = self.frozen.user_attrs.get("moved", {})
        return {name: (own, nearest) for name, (own, nearest) in found.items()}

    @property
    def default_in_words(self) -> str:
        """What the default is called: the recipe's own, or what runs in its stead."""
        if not self.moved:
            return "the recipe's default"
        return f"the nearest to the recipe's default ({_changes(self.moved)})"

    @property
    def would_prune(self) -> str:
        """Reason of a stop that this control trial ignored; '' where there was none."""
        return str(self.frozen.user_attrs.get("would_prune", ""))

    @property
    def retries(self) -> list[str]:
        """Reasons for which it was tried again, in order."""
        return list(self.frozen.user_attrs.get("retries", []))

    @property
    def tried_by_hand(self) -> bool:
        """Whether a session put it back since it was told to, after it had failed."""
        return any(reason.startswith(BY_HAND) for reason in self.retries)

    @property
    def start(self) -> int | None:
        """When it began on the imagined machine of `Lockstep`; None where that is not stored."""
        found = self.frozen.user_attrs.get("start")
        return None if found is None else int(found)

    @property
    def computed_on(self) -> "tuple[ComputedOn, ...]":
        """Where its epochs were computed: one entry, or more where that changed on the way."""
        return tuple(ComputedOn(**place) for place in self.frozen.user_attrs.get("computed_on", []))

    @property
    def constraints(self) -> Mapping[str, float]:
        """Constraint -> by how much it is violated; 0 or less where it holds."""
        return self.frozen.constraints

    def prove(self) -> None:
        """Read all that is kept of a trial, where it has ended.

        Raises:
            KeyError, TypeError, ValueError, AttributeError, AssertionError: where it is damaged.
        """
        optuna_private.enqueued_params(self.frozen)
        if not self.ended:  # its driver may be between two writes
            return
        for epoch, value in self.values.items():
            assert isinstance(epoch, int) and isinstance(value, float), "no epoch with its value"
        for epoch in {*self.known, *self.values}:
            kinds = set(map(type, vars(self.metrics(epoch)).values()))
            assert kinds <= _MEASURED, "metrics are numbers"
        assert isinstance(self.frozen.user_attrs.get("config", {}), Mapping), "no configuration"
        if self.state == "COMPLETE":
            assert self.final.count >= self.final.hits >= 0, "no evaluation"
        str((self.outcome, self.moved, self.retries, self.computed_on, self.origin, self.start))

    def copy(self) -> "TrialRecord":
        """Return a copy that stays as it is, for whoever reads it in another thread.

        What lies under an attribute is never changed: a new value takes its place.
        """
        return TrialRecord(copied(self.frozen))

    def as_waiting(self) -> "TrialRecord":
        """Return a copy that is WAITING: what a trial is that a kill left RUNNING."""
        result = self.copy()
        result.frozen.state = TrialState.WAITING
        return result

    def with_epoch(self, metrics: EpochMetrics, value: float | None) -> "TrialRecord":
        """Return a copy that has an epoch already, for whoever decides before it is stored."""
        result = copy.copy(self.frozen)
        if value is not None:
            result.intermediate_values = {**self.values, metrics.epoch: value}
        attributes = {f"{_EPOCH}{metrics.epoch}": asdict(metrics)}
        result.user_attrs = {**self.frozen.user_attrs, **attributes}
        return TrialRecord(result)


def _changes(moved: Mapping[str, tuple[Value, Value]]) -> str:
    """Return 'alpha 5 -> 2'; after three of them how many more there are."""
    texts = [f"{name} {_short(own)} -> {_short(near)}" for name, (own, near) in moved.items()]
    more = [f"{len(texts) - 3} more"] if len(texts) > 3 else []
    return ", ".join(texts[:3] + more)


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else cut(str(value).lower(), 30)


@dataclass(frozen=True)
class TrialWriter:
    """The attributes of a running trial, to be written."""

    live: Trial

    def config(self, flat: Mapping[str, Value]) -> None:
        """Store the flat configuration of the run."""
        self.live.set_user_attr("config", dict(flat))

    def epoch(self, metrics: EpochMetrics) -> None:
        """Store what was measured after an epoch, which is known from now on."""
        self.live.set_user_attr(f"{_EPOCH}{metrics.epoch}", asdict(metrics))

    def computed_on(self, places: "Sequence[ComputedOn]") -> None:
        """Store what the epochs were computed on, the latest place last."""
        self.live.set_user_attr("computed_on", [asdict(place) for place in places])

    def outcome(self, epoch: int, outcome: TrialOutcome) -> None:
        """Store how the trial ends with an epoch."""
        self.live.set_user_attr("outcome", {"epoch": epoch, **asdict(outcome)})

    def start(self, time: int) -> None:
        """Store when the trial began on the imagined machine of `Lockstep`."""
        self.live.set_user_attr("start", time)

    def would_prune(self, reason: str) -> None:
        """Store why a control trial would have been stopped."""
        self.live.set_user_attr("would_prune", reason)

    def retries(self, reasons: list[str]) -> None:
        """Store the reasons for which the trial was tried again."""
        self.live.set_user_attr("retries", reasons)

    def forget_outcome(self) -> None:
        """Store that the trial has not ended after all."""
        self.live.set_user_attr("outcome", None)


@dataclass(frozen=True)
class StudyRecord:
    """A study: its trials, and what is stored of the study itself."""

    study: Study

    @property
    def name(self) -> str:
        """The study's name."""
        return self.study.study_name

    @property
    def exists(self) -> bool:
        """Whether anything is stored of it; a kill may have come as it began."""
        return bool(self.study.user_attrs)

    def trials(self) -> list[TrialRecord]:
        """Return all trials by number."""
        return [TrialRecord(trial) for trial in index_of(self.study).trials]

    def trial(self, number: int) -> TrialRecord:
        """Return one trial as the storage knows it."""
        return TrialRecord(index_of(self.study).trials[number])

    @property
    def birth(self) -> str:
        """What tells it from others of its name, by which MLflow's view of it is known."""
        return str(self.study.user_attrs.get("birth", ""))

    @property
    def source(self) -> str:
        """Of a race the birth of the search that it is of, '' for a search."""
        return str(self._mapping("source").get("birth", ""))

    @property
    def problem(self) -> Mapping[str, Any]:
        """Identity of the problem in flat names."""
        return self._mapping("problem")

    @property
    def searched(self) -> tuple[str, ...]:
        """Names of the searched parameters, in the order of the space."""
        return searched_names(self.problem)

    @property
    def objective(self) -> str:
        """'robust', or 'robust,clean' for the front of both accuracies."""
        return str(self._mapping("rules").get("objective", "robust"))

    @property
    def min_clean(self) -> float | None:
        """Clean accuracy below which a complete trial is no candidate; None for no limit."""
        found = self._mapping("rules").get("min_clean")
        return None if found is None else float(found)

    @property
    def data(self) -> Mapping[str, Any]:
        """What its images are, see `regmix.images.Images.identity`."""
        return self._mapping("data")

    @property
    def checkpoints(self) -> str | None:
        """URL of the object store with the trials' files; None for the study's own folder."""
        found = self._mapping("checkpoints").get("url")
        return None if found is None else str(found)

    @property
    def plugins(self) -> Mapping[str, str]:
        """Digests of the plug-ins that it uses, by their paths in the plug-in folder."""
        return self._mapping("plugins")

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions with which the study was begun; those of each trial are its own."""
        return self._mapping("versions")

    @property
    def extent(self) -> Mapping[str, float]:
        """What its trials may use, if that is limited: `trainings` and all the `epochs` of these,
        number of `trials`, seconds of `budget`; beside it the trainings of its `race`, and of a
        race how many run `at_once`.
        """
        return self._mapping("extent")

    @property
    def asked(self) -> Mapping[str, float]:
        """Limits that were ever typed, see `ask_for`."""
        return self._mapping("asked")

    @property
    def deterministic(self) -> int | None:
        """Number of workers of the imagined machine in whose order results count, if any."""
        found = self._mapping("rules").get("deterministic")
        return None if found is None else int(found)

    @property
    def seconds(self) -> float:
        """Seconds that the study took, over all its sessions."""
        return float(self.study.user_attrs.get("seconds", 0.0))

    @property
    def eliminated(self) -> Mapping[int, str]:
        """Finalist that dropped out of a race -> why."""
        attributes = self.study.user_attrs.items()
        rounds = [found for key, found in attributes if key.startswith(_ELIMINATED)]
        return {int(name): reason for found in rounds for name, reason in found.items()}

    def readmit(self, finalists: Collection[int]) -> None:
        """Let finalists race again that dropped out."""
        for key, found in list(self.study.user_attrs.items()):
            if key.startswith(_ELIMINATED):
                left = {name: why for name, why in found.items() if int(name) not in finalists}
                if left != found:
                    self.study.set_user_attr(key, left)

    def round_is_over(self, seed: int) -> bool:
        """Tell whether it is stored who dropped out after a seed."""
        return f"{_ELIMINATED}{seed}" in self.study.user_attrs

    def end_round(self, seed: int, eliminated: Mapping[int, str]) -> None:
        """Store who drops out after a seed, and why."""
        found = {str(name): reason for name, reason in eliminated.items()}
        self.study.set_user_attr(f"{_ELIMINATED}{seed}", found)

    def begin_study(self, versions: Mapping[str, str]) -> None:
        """Store format, birth and versions in a new study.

        Raises:
            InputError: where the study has another format.
        """
        if not self.study.user_attrs:
            self.study.set_user_attr("format", FORMAT)
        self.check_format()
        if not self.birth:
            self.study.set_user_attr("birth", uuid.uuid4().hex)
        if not self.versions:  # a kill may have come between the two
            self.study.set_user_attr("versions", dict(versions))

    def check_format(self, option: str = "--study") -> None:
        """Raise InputError where the study is empty, of another version, or damaged by hand.

        Args:
            option: option that it was named by.
        """
        instead = "begin a new study by --study" if option == "--study" else "leave it out"
        if not self.study.user_attrs:
            raise EmptyStudyError.of(self.name, option)
        found = self.study.user_attrs.get("format")
        if found != FORMAT:
            raise InputError(
                f"{option} {self.name}: has format {found or 1}, and this version reads format "
                f"{FORMAT}; {instead}, or use the version that wrote it"
            )
        place = "its time"
        try:
            float(self.seconds)
            for trial in self.trials():
                place = f"trial {trial.number}"
                trial.prove()
        except (KeyError, TypeError, ValueError, AttributeError, AssertionError) as error:
            raise InputError(
                f"{option} {self.name}: what is kept of {place} is damaged "
                f"({type(error).__name__}: {first_line(error)[:80]}); restore the study's storage, "
                f"or {instead}"
            ) from None

    def hold(self, key: str, identity: Mapping[str, Any]) -> None:
        """Store what may not change under a study's name, or prove that it is still the same.

        Args:
            key: problem, rules, data, checkpoints, plugins source or sources.
            identity: flat names and values.

        Raises:
            InputError: naming what differs.
        """
        if self.study.user_attrs.get(key) is None:
            self.study.set_user_attr(key, dict(identity))
        else:
            self.compare(key, identity)

    def compare(self, key: str, identity: Mapping[str, Any]) -> None:
        """Prove that something is still as it was stored, if it was.

        Args:
            key, identity: as of `hold`.

        Raises:
            InputError: naming what differs.
        """
        known = self.study.user_attrs.get(key, identity)
        names = [n for n in {**known, **identity} if known.get(n) != identity.get(n)]
        if names:
            differ = "; ".join(_change(key, n, known.get(n), identity.get(n)) for n in names)
            raise InputError(
                f"--study {self.name}: was begun with {_OTHERS[key]} ({differ}); undo the "
                "change, or choose a new name by --study"
            )

    @property
    def sources(self) -> tuple[CopiedStudy, ...]:
        """What is copied of the studies that it was begun from."""
        found = self.study.user_attrs
        count = len(found.get("sources", {}).get("--from", ()))
        return tuple(CopiedStudy.of(found[f"{_SOURCE}{place}"]) for place in range(count))

    @property
    def has_begun_from(self) -> bool:
        """Whether it is stored which studies it was begun from, be it none."""
        return "sources" in self.study.user_attrs

    def begin_from(self, sources: Sequence[CopiedStudy]) -> None:
        """Store what is copied of earlier studies; once, before the first trial.

        The names come last: a kill before them leaves a study that has begun from nothing yet.
        """
        for place, source in enumerate(sources):
            self.study.set_user_attr(f"{_SOURCE}{place}", source.text)
        self.hold("sources", {"--from": [source.study for source in sources]})

    def ask_for(self, typed: Mapping[str, float | None]) -> Mapping[str, float]:
        """Store limits that were typed; those that are None stay as they were stored.

        Args:
            typed: `trainings`, `trials` and seconds of `budget`.

        Returns:
            all that were ever typed, as they are now.
        """
        known = self.asked
        asked = {**known, **{name: value for name, value in typed.items() if value is not None}}
        if asked != known:
            self.study.set_user_attr("asked", asked)
        return asked

    def set_extent(self, limits: Mapping[str, float]) -> None:
        """Store what its trials may use, see `extent`."""
        if limits != self.extent:
            self.study.set_user_attr("extent", dict(limits))

    @property
    def methods(self) -> Sequence[Mapping[str, Any]]:
        """Sampler, pruner and their numbers, an entry for each time that they were changed."""
        found: Sequence[Mapping[str, Any]] = self.study.user_attrs.get("methods", [])
        return found

    @property
    def seed(self) -> int:
        """Seed of the search as it goes on now; 0 where none is stored."""
        return int(self.methods[-1].get("seed", 0)) if self.methods else 0

    def use(self, method: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Store how a session searches, where that is new.

        Args:
            method: name of a choice -> its value.

        Returns:
            name -> value before and now, of what has changed since an earlier session.
        """
        known = self.methods
        if known and known[-1] == method:
            return {}
        self.study.set_user_attr("methods", [*known, dict(method)])
        if not known:
            return {}
        before = known[-1]
        return {
            name: (before.get(name), value)
            for name, value in method.items()
            if before.get(name) != value
        }

    @property
    def pointless(self) -> str:
        """Why no further trial is worth beginning; '' while that isn't so, or nobody asked."""
        return str(self.study.user_attrs.get("pointless", ""))

    def set_pointless(self, why: str) -> None:
        """Store why no further trial is worth beginning."""
        self.study.set_user_attr("pointless", why)

    @property
    def hyperparameters(self) -> tuple[tuple[float, ...], int]:
        """Those of the model of its curves, and with how many values they were sought; 0 of none.

        See `pipeline.forecast.gaussian_process.Hyperparameters`.
        """
        found = self._mapping("forecast")
        return tuple(found.get("hyperparameters", ())), int(found.get("values", 0))

    def set_hyperparameters(self, hyperparameters: Sequence[float], values: int) -> None:
        """Store them, and the number of values that they were sought with."""
        found = {"hyperparameters": list(hyperparameters), "values": values}
        self.study.set_user_attr("forecast", found)

    def set_seconds(self, seconds: float) -> None:
        """Store the seconds that the study has taken so far."""
        self.study.set_user_attr("seconds", seconds)

    def enqueue(
        self,
        params: Mapping[str, Value],
        origin: str,
        moved: Mapping[str, tuple[Value, Value]] = MappingProxyType({}),
    ) -> None:
        """Put a configuration into the study, to be begun before any is sampled.

        Args:
            params: value of each searched parameter.
            origin: where they come from.
            moved: see `TrialRecord.moved`.
        """
        attributes: dict[str, Any] = {"origin": origin}
        if moved:
            attributes["moved"] = {name: list(pair) for name, pair in moved.items()}
        self.study.enqueue_trial(dict(params), user_attrs=attributes)

    def _mapping(self, key: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.study.user_attrs.get(key, {})
        return found


_OTHERS = {
    "problem": "another problem",
    "rules": "other rules",
    "data": "other data",
    "checkpoints": "another place of checkpoints",
    "plugins": "other plug-ins",
    "source": "another search of that name",
    "sources": "other sources",
}


def _change(key: str, name: str, before: object, now: object) -> str:
    """Return what became of a value that is held, or of a plug-in, whose value is its sha256."""
    if key != "plugins":
        return f"{name} was {before} and is {now}"
    if before is None:
        return f"{name} is new in it"
    if now is None:
        return f"{name} is gone"
    return f"{name} has changed: sha256 {str(now)[:12]}, was {str(before)[:12]}"


def searched_names(problem: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the searched parameters from the identity of a problem."""
    prefix = "search."
    return tuple(name.removeprefix(prefix) for name in problem if name.startswith(prefix))
