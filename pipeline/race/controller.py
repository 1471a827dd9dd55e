"""The race of a study's finalists: a study of its own, whose trials are (finalist, seed)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from pipeline.problem.space import Int, SearchSpace
from pipeline.race import statistics as race
from pipeline.study.contracts import TrialRequest
from pipeline.study.controller import StudyController
from pipeline.study.remarks import latest
from regmix.config import TrainConfig
from regmix.evaluation.results import unpack
from regmix.ranges import Value

if TYPE_CHECKING:
    from optuna.study import Study

_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class RaceProblem:
    """What is asked: each finalist with each seed, at full length, evaluated as finalists are.

    finalists: number in the searched study -> its configuration.
    searched: names that the study searched, for people.
    """

    name: str
    recipe: str
    finalists: Mapping[int, TrainConfig]
    searched: tuple[str, ...]

    @property
    def space(self) -> SearchSpace:
        """Finalist and seed, as parameters of an Optuna trial."""
        ranges = {"finalist": Int(0, _LARGEST), "seed": Int(0, _LARGEST)}
        return SearchSpace(self.name, "", {}, ranges, "")

    def config(self, params: Mapping[str, Value]) -> TrainConfig:
        """Return a finalist's configuration with this seed."""
        finalist, seed = (int(params[name] or 0) for name in ("finalist", "seed"))
        return replace(self.finalists[finalist], seed=seed, judgement="finalist")

    def default(self) -> dict[str, Value]:
        """Return the first finalist with its own seed."""
        number, config = next(iter(self.finalists.items()))
        return {"finalist": number, "seed": config.seed}

    def facts(self) -> dict[str, Any]:
        """Return what MLflow shows of the question."""
        ranges = {f"search.{name}": repr(range_) for name, range_ in self.space.ranges.items()}
        return {"space": self.name, "recipe": self.recipe, **ranges}


@dataclass
class RaceController(StudyController):
    """Asks for one round after the other; after each, the hopeless drop out.

    seeds: of the rounds, in order.
    reference: the finalist that never drops out.
    """

    seeds: tuple[int, ...] = ()
    reference: int = -1
    finalists: tuple[int, ...] = field(default_factory=tuple)

    def remaining(self) -> int:
        """Return how many trials of the round are still to be begun or continued."""
        left = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return len(left)

    def ask(self) -> TrialRequest | None:
        """Return the next trial of the round; None while others of the round still run."""
        self.next_round()
        return super().ask()

    def next_round(self) -> None:
        """Put what is missing of the present round into the study, once the last one has ended."""
        for seed in self.seeds:
            alive = [name for name in self.finalists if name not in dropped(self.study)]
            ended = {_pair(t): t.state.is_finished() for t in self.study.get_trials(deepcopy=False)}
            for name in alive:
                if (name, seed) not in ended:
                    origin = "default" if name == self.reference else f"trial {name}"
                    params = {"finalist": name, "seed": seed}
                    self.study.enqueue_trial(params, user_attrs={"origin": origin})
            if not all(ended.get((name, seed)) for name in alive):
                return
            if seed != self.seeds[-1] and f"after_{seed}" not in self.study.user_attrs:
                self._drop(seed, alive)

    def _drop(self, seed: int, alive: list[int]) -> None:
        """Store who drops out after a seed, and why; a failure drops out too."""
        known = outcomes(self.study)
        failed = {
            name: "failed: " + trial.user_attrs.get("reason", "")
            for trial in self.study.get_trials(deepcopy=False)
            for name in (trial.params.get("finalist", -1),)
            if trial.state.name == "FAIL" and name in alive and name != self.reference
        }
        racing = {name: known[name] for name in alive if name in known and name not in failed}
        reasons = race.hopeless(racing, self.reference) if len(racing) > 1 else {}
        found = {str(name): reason for name, reason in {**failed, **reasons}.items()}
        self.study.set_user_attr(f"after_{seed}", found)


def dropped(study: "Study") -> dict[int, str]:
    """Return which finalists have dropped out, and why."""
    rounds = [facts for key, facts in study.user_attrs.items() if key.startswith("after_")]
    return {int(name): reason for facts in rounds for name, reason in facts.items()}


def outcomes(study: "Study") -> dict[int, Any]:
    """Return finalist -> (seeds, images) bool: which images survived each complete training."""
    found: dict[int, list[list[bool]]] = {}
    for trial in study.get_trials(deepcopy=False):
        if trial.state.name == "COMPLETE":
            final = latest(trial).final
            assert final is not None, "a complete trial is evaluated"
            survived = unpack(final.survivors, final.count)
            found.setdefault(trial.params["finalist"], []).append(survived)
    return {name: np.array(runs) for name, runs in found.items()}


def median_run(study: "Study", finalist: int) -> FrozenTrial:
    """Return the training of a finalist whose value is the (lower) median over its seeds."""
    runs = [
        trial
        for trial in study.get_trials(deepcopy=False)
        if trial.state.name == "COMPLETE" and trial.params["finalist"] == finalist
    ]
    return sorted(runs, key=lambda trial: trial.value or 0.0)[(len(runs) - 1) // 2]


def _pair(trial: FrozenTrial) -> tuple[int, int]:
    params = trial.params or trial.system_attrs.get("fixed_params", {})
    return params.get("finalist", -1), params.get("seed", -1)
