"""Earlier studies of the same space on another task: what a new study copies of them.

A copy is all that is ever read of a source: it may go on, change or be deleted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.forecast.coordinates import Coordinates, Numbers
from pipeline.forecast.curves import log_spaced
from pipeline.problem.space import Choice, SearchSpace
from pipeline.study.copied_study import CopiedStudy, CopiedTrial
from pipeline.study.ranking import candidates, ranked, violates
from pipeline.study.records import StudyRecord, TrialRecord
from regmix.errors import InputError
from regmix.ranges import Value

_FIRST, _EVERY = 4, 8
"""First trials that come from sources, at most, and full trainings for each of which there is one:
more would leave too little of a small budget for what the sources don't know."""

_APART = 0.1  # of the space's diagonal, that two first trials lie apart, at least
_MOST = 80  # trials that are copied of a source


@dataclass(frozen=True)
class _Candidate:
    """A complete trial of a source, whose values the present space can follow.

    own: its values of what is searched.
    point: (coordinates,) the nearest configuration in the space.
    """

    number: int
    own: Mapping[str, Value]
    point: Numbers


def copied(
    sources: Sequence[StudyRecord],
    space: SearchSpace,
    trainings: float | None,
    default: Mapping[str, Value] | None = None,
) -> list[CopiedStudy]:
    """Return what a new study copies of its sources.

    Args:
        sources: the sources, in the order that was typed.
        space: what the new study searches.
        trainings: its effort in full trainings; None where another limit holds.
        default: configuration that it tries before any of them, if there is one.

    Raises:
        InputError: where a source has no candidate, or lacks a parameter.
    """
    coordinates = Coordinates.of(space)
    best = [_candidates(source, space, coordinates) for source in sources]
    count = _FIRST if trainings is None else max(1, min(_FIRST, int(trainings) // _EVERY))
    tried = [] if default is None else [coordinates.points(coordinates.shares(default)[None])[0]]
    first = _first(best, count, tried)
    return [_copy(*pair, space) for pair in zip(sources, first, strict=True)]


def _candidates(
    source: StudyRecord, space: SearchSpace, coordinates: Coordinates
) -> list[_Candidate]:
    """Return those of a source, the best first.

    A number outside of its range stands for the nearest; a choice that is none here for nothing.
    """
    complete = candidates(source)
    if not complete:
        raise InputError(
            f"--from {source.name}: no candidate is complete there; go on with that search, or "
            "leave it out"
        )
    found = []
    for trial in complete:
        own = _own(source, trial, space)
        near = {name: range_.nearest(own[name]) for name, range_ in space.ranges.items()}
        choices = [name for name, range_ in space.ranges.items() if isinstance(range_, Choice)]
        if all(near[name] == own[name] for name in choices):
            point = coordinates.points(coordinates.shares(near)[None])[0]
            found.append(_Candidate(trial.number, own, point))
    return found


def _own(source: StudyRecord, trial: TrialRecord, space: SearchSpace) -> dict[str, Value]:
    """Return a trial's values of what the space searches, be they fixed there."""
    missing = [name for name in space.ranges if name not in trial.config]
    if missing:
        raise InputError(
            f"--from {source.name}: has no {missing[0]}, which {space.name} searches; name a study "
            "of the same space"
        )
    return {name: trial.config[name] for name in space.ranges}


def _first(
    best: Sequence[Sequence[_Candidate]], count: int, tried: Sequence[Numbers]
) -> list[list[_Candidate]]:
    """Return the first trials of each source: taken in turn, each apart from all before.

    Args:
        best: candidates of each source, the best first.
        count: number of first trials, at most.
        tried: points of what is tried before them.
    """
    taken: list[list[_Candidate]] = [[] for _ in best]
    points, most = [*tried], len(tried) + count
    for place in range(max(map(len, best), default=0) * len(best)):
        turn, source = divmod(place, len(best))
        if turn < len(best[source]) and len(points) < most:
            one = best[source][turn]
            near = [np.linalg.norm(one.point - point) for point in points]
            if min(near, default=math.inf) >= _APART * math.sqrt(len(one.own)):
                taken[source].append(one)
                points.append(one.point)
    return taken


def _copy(source: StudyRecord, first: Sequence[_Candidate], space: SearchSpace) -> CopiedStudy:
    names = list(space.ranges)
    trials = [trial for trial in ranked(source) if _is_of_use(source, trial, space)]
    every = max(1, math.ceil(len(trials) / _MOST))  # good ones and bad ones, as many as there are
    epochs = max((trial.total_epochs for trial in trials), default=1)
    return CopiedStudy(
        source.name,
        epochs,
        names,
        sorted((_copied(t, names, epochs) for t in trials[::every]), key=lambda t: t.number),
        [(one.number, [one.own[name] for name in names]) for one in first],
    )


def _is_of_use(source: StudyRecord, trial: TrialRecord, space: SearchSpace) -> bool:
    """Tell whether the model can learn from a trial: it has a value, and lies in the space."""
    if not trial.begun or trial.state == "FAIL" or not _values(trial):
        return False
    own = _own(source, trial, space)
    return all(range_.nearest(own[name]) == own[name] for name, range_ in space.ranges.items())


def _values(trial: TrialRecord) -> dict[int, float]:
    return {e: v for e, v in sorted(trial.values.items()) if math.isfinite(v)}


def _copied(trial: TrialRecord, names: Sequence[str], total: int) -> CopiedTrial:
    """Return a copy of a trial, its values at epochs that lie apart and at its last one."""
    values = _values(trial)
    wanted = log_spaced(total) | {max(values)}
    kept = {epoch: value for epoch, value in values.items() if epoch in wanted}
    return CopiedTrial(
        trial.number,
        [trial.config[name] for name in names],
        list(kept),
        list(kept.values()),
        trial.final_robust,
        violates(trial),
    )
