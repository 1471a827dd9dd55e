"""The race of a study's finalists: a study of its own, whose trials are (finalist, seed).

It is run by a `StudyController` like any other; what is special is which trials come next.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import TrialState

from pipeline.problem.space import Int, SearchSpace
from pipeline.race import statistics
from pipeline.race.share import RoundLimit, judged_images
from pipeline.study import optuna_private
from pipeline.study.records import DEFAULT, StudyRecord, TrialRecord
from regmix.config import TrainConfig
from regmix.evaluation.results import unpack
from regmix.ranges import Value

_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class RaceProblem:
    """Each finalist with each seed, at full length, evaluated as finalists are.

    name: name of the race.
    recipe: name of the recipe that was searched.
    finalists: number in the searched study -> its configuration.
    """

    name: str
    recipe: str
    finalists: Mapping[int, TrainConfig]

    @property
    def space(self) -> SearchSpace:
        """Finalist, seed and number of images that judge it, as parameters of an Optuna trial."""
        ranges = dict.fromkeys(("finalist", "seed", "images"), Int(0, _LARGEST))
        return SearchSpace(self.name, "", {}, ranges, "")

    def config(self, params: Mapping[str, Value]) -> TrainConfig:
        """Return a finalist's configuration with this seed, judged by so many images."""
        finalist, seed, images = (params[name] for name in ("finalist", "seed", "images"))
        assert isinstance(finalist, int) and isinstance(seed, int), "the space has whole numbers"
        assert isinstance(images, int), "the space has whole numbers"
        config = self.finalists[finalist]
        return replace(config, seed=seed, judgement="finalist", judged_images=images)

    def identity(self) -> dict[str, Any]:
        """Return what MLflow shows of the problem."""
        ranges = {f"search.{name}": repr(range_) for name, range_ in self.space.ranges.items()}
        return {"space": self.name, "recipe": self.recipe, **ranges}


@dataclass(frozen=True)
class RoundQueue:
    """One round after the other: every finalist with a seed; then the eliminated drop out.

    While many race, some of the images tell who can't win; the last few are judged by all. The
    number is stored with each trial as it is enqueued.

    study: the race's own study.
    seeds: seeds of the rounds, in order; more than there can be where a limit ends the race.
    finalists: numbers of the finalists.
    reference: the finalist that never drops out.
    task: configuration of a finalist, for the numbers of images, which all share.
    origin: what it is; no DEFAULT where it does not have the recipe's own values.
    limit: what the race may use; None where all seeds are to come.
    """

    study: StudyRecord
    seeds: Sequence[int]
    finalists: tuple[int, ...]
    reference: int
    task: TrainConfig
    origin: str = DEFAULT
    limit: RoundLimit | None = None

    @property
    def total(self) -> int | None:
        """Number of trials if nobody drops out; None where a limit ends the race."""
        return None if self.limit is not None else len(self.seeds) * len(self.finalists)

    def refill(self) -> None:
        """Enqueue what is missing of the present round, once the last one has ended."""
        for seed in self.seeds:
            alive = [name for name in self.finalists if name not in self.study.eliminated]
            ended = {_pair(trial): trial.ended for trial in self.study.trials()}
            missing = [name for name in alive if (name, seed) not in ended]
            if missing and not self._may_begin(len(alive), len(missing)):
                return
            images = judged_images(self.task, len(alive))
            for name in missing:
                origin = self.origin if name == self.reference else f"trial {name}"
                self.study.enqueue({"finalist": name, "seed": seed, "images": images}, origin)
            if not all(ended.get((name, seed)) for name in alive):
                return
            if seed != self.seeds[-1] and not self.study.round_is_over(seed):
                self._eliminate(seed, alive)

    def _may_begin(self, alive: int, missing: int) -> bool:
        """Tell whether what is missing of a round can end; one finalist alone races nobody."""
        if self.limit is None:
            return True
        return alive > 1 and self.limit.fits(self.study.study, missing)

    def empty(self) -> bool:
        """Tell whether nothing of the round waits."""
        return all(trial.frozen.state != TrialState.WAITING for trial in self.study.trials())

    def _eliminate(self, seed: int, alive: list[int]) -> None:
        """Store who drops out after a seed, and why; a failure drops out too."""
        known = survivors(self.study)
        failed = {
            name: f"failed: {trial.reason}"
            for trial in self.study.trials()
            for name in (trial.params.get("finalist", -1),)
            if trial.state == "FAIL" and name in alive and name != self.reference
        }
        racing = {name: known[name] for name in alive if name in known and name not in failed}
        behind = statistics.eliminated(racing, self.reference) if len(racing) > 1 else {}
        self.study.end_round(seed, {**failed, **behind})


def finalists_of(study: StudyRecord) -> set[int]:
    """Return the numbers of the finalists that race, or wait to."""
    return {_pair(trial)[0] for trial in study.trials()}


def survivors(study: StudyRecord) -> dict[int, dict[int, NDArray[np.bool_]]]:
    """Return finalist -> seed -> (images,) bool: which images survive each complete training."""
    found: dict[int, dict[int, NDArray[np.bool_]]] = {}
    for trial in study.trials():
        if trial.state == "COMPLETE":
            images = np.array(unpack(trial.final.survivors, trial.final.count))
            found.setdefault(trial.params["finalist"], {})[trial.params["seed"]] = images
    return found


def median_run(study: StudyRecord, finalist: int) -> TrialRecord:
    """Return the training of a finalist whose value is the (lower) median over its seeds.

    Values are those on the images that all of them were judged by.
    """
    runs = [
        trial
        for trial in study.trials()
        if trial.state == "COMPLETE" and trial.params["finalist"] == finalist
    ]
    shared = min(trial.final.count for trial in runs)
    known = {n: sum(unpack(t.final.survivors, t.final.count)[:shared]) for n, t in enumerate(runs)}
    return runs[sorted(known, key=lambda place: known[place])[(len(runs) - 1) // 2]]


def _pair(trial: TrialRecord) -> tuple[int, int]:
    params = optuna_private.enqueued_params(trial.frozen)
    return params.get("finalist", -1), params.get("seed", -1)
