"""The ways of searching that are compared: this project's controller, and Ray's default."""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import optuna

from benchmarks.pool import adapted
from benchmarks.simulated import Look, Method, Task
from pipeline import pruners, samplers
from pipeline.problem.space import SearchSpace
from pipeline.search import parser
from pipeline.study.contracts import Problem, Pruner
from pipeline.study.controller import StudyController
from pipeline.study.effort import Trainings
from pipeline.study.events import EpochResult
from pipeline.study.followed_storage import FollowedStorage
from pipeline.study.queue import SampledQueue
from pipeline.study.records import StudyRecord
from regmix.errors import InputError, unknown
from regmix.evaluation.results import FinalEvaluation, Masking
from regmix.ranges import Value, number
from regmix.training.metrics import EpochMetrics

RAY = "ray"  # OptunaSearch with ASHAScheduler
BASELINE = "random+halving"
IMAGES = 10**6  # that an evaluation is said to rest on: its share is then exact enough
METRIC = "accuracy"


@dataclass(frozen=True)
class Way:
    """A way by its name, as it was typed and as it is.

    searcher: a sampler of `pipeline.samplers`, or RAY.
    pruner: of `pipeline.pruners`; "" for Ray's.
    options: fields of the pruner, else of the controller; options of ASHAScheduler for Ray's.
    """

    name: str
    searcher: str
    pruner: str
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Way":
        """Read NAME=SAMPLER+PRUNER[:KEY=VALUE,...] or NAME=ray[:KEY=VALUE,...].

        Raises:
            InputError: for another form, or an unknown sampler.
        """
        form = re.fullmatch(r"([^=]+)=([\w-]+)(?:\+([^:]+))?(?::(.+))?", text)
        pairs = [pair.partition("=") for pair in (form[4] or "").split(",")] if form else []
        if form is None or (form[2] != RAY) != bool(form[3]):
            raise InputError(
                f"--way: must be NAME=SAMPLER+PRUNER[:KEY=VALUE,...] or NAME={RAY}[:...], but is "
                f"{text!r}; write mine=tpe+halving:keep=0.25"
            )
        if form[2] not in (RAY, *samplers.names()):
            raise unknown("--way", "sampler", form[2], [RAY, *samplers.names()])
        options = tuple((key, value) for key, equals, value in pairs if equals)
        return cls(form[1], form[2], form[3] or "", options)

    def method(self, task: Task, seed: int) -> Method:
        """Build it, new, for one search."""
        if self.searcher == RAY:
            return RaysDefault(task, seed, {key: number(value) for key, value in self.options})
        pruner, options = self.built(task.epochs, task.eval_every)
        return Controlled(task, seed, self.searcher, pruner, options)

    def settings(self, epochs: int, eval_every: int = 1) -> str:
        """Return all that decides over its figures, so that old ones aren't taken for new."""
        if self.searcher == RAY:
            return " ".join((RAY, *(f"{key}={value}" for key, value in self.options)))
        pruner, options = self.built(epochs, eval_every)
        shown = re.sub(r" object at 0x\w+", "", repr(pruner))
        return " ".join((self.searcher, shown, *(f"{key}={options[key]}" for key in options)))

    def built(self, epochs: int, eval_every: int = 1) -> tuple[Pruner, dict[str, int]]:
        """Return the pruner with its options, and those of the controller."""
        pruner, options = pruners.build(self.pruner, epochs, eval_every), dict[str, int]()
        known = {field.name for field in dataclasses.fields(StudyController)}
        for key, value in self.options:
            if hasattr(pruner, key):
                several = isinstance(getattr(pruner, key), tuple)
                read = tuple(map(int, value.split("/"))) if several else number(value)
                pruner = dataclasses.replace(cast(Any, pruner), **{key: read})
            elif key in known:
                options[key] = int(value)
            else:
                raise unknown("--way", "option", key, known)
        return pruner, options


def usual() -> list[Way]:
    """Return the ways of the table; the last is what this project does unless told otherwise."""
    default = parser()
    ours = f"ours={default.get_default('sampler')}+{default.get_default('pruner')}"
    if default.get_default("control_every"):
        ours += f":control_every={default.get_default('control_every')}"
    rest = ("random=random+none", f"{BASELINE}=random+halving", "tpe=tpe+none", f"{RAY}={RAY}")
    return [Way.parse(text) for text in (*rest, ours)]


@dataclass(frozen=True)
class Run:
    """What the controller knows of a configuration."""

    params: Mapping[str, Value]
    epochs: int

    def flat(self) -> dict[str, Value]:
        """Return it in flat names."""
        return {**self.params, "epochs": self.epochs}


@dataclass(frozen=True)
class TableProblem:
    """A task in the place of a recipe; it has no default."""

    space: SearchSpace
    epochs: int

    def config(self, params: Mapping[str, Value]) -> Run:
        """Return the run that these parameters mean."""
        return Run(params, self.epochs)


class Controlled:
    """This project's own controller over a study in memory."""

    def __init__(
        self, task: Task, seed: int, sampler: str, pruner: Pruner, options: Mapping[str, int]
    ) -> None:
        storage = FollowedStorage(optuna.storages.InMemoryStorage())
        study = optuna.create_study(storage=storage, direction="maximize")
        StudyRecord(study).use({"seed": seed})
        limit = Trainings(task.trainings, task.epochs)
        StudyRecord(study).set_extent({"trainings": limit.count, "epochs": limit.most})
        self.controller = StudyController(
            study,
            cast(Problem, TableProblem(task.space, task.epochs)),
            pruner,
            adapted(samplers.factory(sampler, seed, task.space), task, study, seed),
            SampledQueue(study, None),
            trainings=limit,
            **cast(Any, options),
        )

    def ask(self) -> tuple[int, Mapping[str, Value]] | None:
        """Ask the controller."""
        request = self.controller.ask()
        return None if request is None else (request.number, cast(Run, request.config).params)

    def report(self, number: int, epoch: int, look: Look) -> bool:
        """Report to the controller, and close the trial as it says."""
        metrics = _metrics(epoch, look)
        outcome = self.controller.report(number, EpochResult(metrics, {"device": "none"}, {}))
        if outcome is not None:
            self.controller.tell(number, outcome)
        return outcome is None


def _metrics(epoch: int, look: Look) -> EpochMetrics:
    """Return metrics in which every accuracy is the value."""
    shares = dict.fromkeys(("valid_clean", "valid_fgsm", "valid_pgd", "valid_robust"), look.value)
    seen = 0.0 if look.value is None else look.value
    raw = {"raw_fgsm": seen, "raw_pgd": seen, "co_ratio": 1.0, "co_detected": False}
    masking = Masking(**cast(Any, dict.fromkeys(Masking.__dataclass_fields__, 0.0)))
    final = None
    if look.final is not None:
        final = FinalEvaluation(round(look.final * IMAGES), IMAGES, masking)
    known: dict[str, Any] = dict.fromkeys(EpochMetrics.__dataclass_fields__, 0.0)
    return EpochMetrics(**{**known, **shares, **raw, "epoch": epoch, "final": final})


class RaysDefault:
    """OptunaSearch and ASHAScheduler as Ray's controller calls them, without its cluster.

    A result goes to the scheduler first, and to the searcher unless the scheduler stops the
    trial; a trial that was stopped is completed at both with its last result.
    """

    def __init__(self, task: Task, seed: int, options: Mapping[str, float]) -> None:
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        self.searcher = OptunaSearch(task.space.suggest, metric=METRIC, mode="max", seed=seed)
        self.scheduler = ASHAScheduler(max_t=task.epochs, **cast(Any, options))
        self.scheduler.set_search_properties(METRIC, "max")
        self._asked = 0

    def ask(self) -> tuple[int, Mapping[str, Value]]:
        """Let the searcher suggest, and tell the scheduler of the new trial."""
        identity, self._asked = str(self._asked), self._asked + 1
        params = self.searcher.suggest(identity)
        self.scheduler.on_trial_add(cast(Any, None), _trial(identity))
        return int(identity), cast(Mapping[str, Value], params)

    def report(self, number: int, epoch: int, look: Look) -> bool:
        """Hand a result on as Ray's controller does."""
        identity = str(number)
        result = {"training_iteration": epoch, METRIC: look.value}
        decision = self.scheduler.on_trial_result(cast(Any, None), _trial(identity), result)
        if decision != self.scheduler.STOP:
            self.searcher.on_trial_result(identity, result)
            return True
        self.scheduler.on_trial_complete(cast(Any, None), _trial(identity), result)
        self.searcher.on_trial_complete(identity, result)
        return False


def _trial(identity: str) -> Any:  # noqa: ANN401  (all that the scheduler reads of Ray's trial)
    return SimpleNamespace(trial_id=identity)
