"""What a study says, as plain values: every view shows these, and computes none of its own.

Terminal, JSON document, HTML report, MLflow's page and Python's `open_study` read one `Summary`, so
that no two of them can say different things of a study.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from optuna.distributions import FloatDistribution, IntDistribution

from pipeline.race.result import RaceResult, race_result
from pipeline.race.selection import selection
from pipeline.study.effort import effort_of
from pipeline.study.judge_noise import difference
from pipeline.study.progress import progress
from pipeline.study.ranking import (
    candidates,
    count_states,
    front,
    pruned_epochs,
    ranked,
)
from pipeline.study.records import StudyRecord, TrialRecord
from pipeline.study.remarks import remarks, stopped_by, violated_constraints, warnings
from regmix.ranges import Value

DONE, RUNNING, INTERRUPTED, EMPTY = "done", "running", "interrupted", "not begun"
OWN_DEFAULT = "the recipe's default"
_EDGE = 0.01  # of a range, at whose bound a number counts as lying
_MATTERS = ("device", "threads", "python", "torch", "numpy", "code")


@dataclass(frozen=True)
class Gain:
    """A difference of robust accuracy, in [-1, 1], with its interval at 95 %.

    told: whether the interval leaves out 0.
    """

    value: float
    low: float
    high: float

    @property
    def told(self) -> bool:
        """Whether chance alone would hardly make it."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class TrialSummary:
    """A trial as views show it.

    rank: its place among the candidates, from 1; None for a trial that is none.
    epoch, epochs: last epoch that is known, and those of a full training.
    final_robust: the objective, in [0, 1]; None before it is complete.
    interval: of it, at 95 %, from the images alone.
    over_default: difference to the default on the same images; None where it isn't known.
    robust, clean: accuracies of the last epoch that was validated, in [0, 1].
    is_default: whether it is the recipe's default, or the nearest to it.
    reason: why it was stopped, or failed; "" for neither.
    remarks: reason, origin and warnings in a line.
    doubts: why its accuracy may not mean what it says; a trial with one may be no candidate.
    judged: number of images of `final_robust`; None before it is complete.
    would_prune: why the pruner would have stopped this control trial; "" for all others.
    at_bounds: its numbers that lie at a bound of their range.
    """

    trial: int
    rank: int | None
    state: str
    epoch: int
    epochs: int
    final_robust: float | None
    interval: tuple[float, float] | None
    over_default: Gain | None
    robust: float | None
    clean: float | None
    params: Mapping[str, Value]
    is_default: bool
    reason: str
    remarks: str
    doubts: Sequence[str]
    judged: int | None
    would_prune: str
    at_bounds: Sequence[str]


@dataclass(frozen=True)
class Stopped:
    """Trials that were stopped for one kind of reason.

    why: the kind, as words that follow 'stopped'.
    trials: their numbers, in order.
    epochs: the first and the last in which one was stopped.
    """

    why: str
    trials: Sequence[int]
    epochs: tuple[int, int]


@dataclass(frozen=True)
class Finalist:
    """A finalist of the race, by the seeds that it was trained with.

    mean, interval: robust accuracy over its seeds.
    best: probability that it is the best of all finalists.
    gain: over the reference within the same seeds; None for the reference.
    clean: clean accuracy on the validation images, the mean over its seeds.
    gone: why it dropped out; "" where it did not.
    """

    trial: int
    seeds: int
    mean: float
    interval: tuple[float, float]
    best: float
    gain: Gain | None
    gone: str
    clean: float | None = None


@dataclass(frozen=True)
class RaceSummary:
    """The race of the best against the default with fresh seeds.

    state: DONE, RUNNING or INTERRUPTED.
    finalists: the best first.
    reference: trial that gains are counted from.
    """

    state: str
    finalists: Sequence[Finalist]
    reference: int

    @property
    def winner(self) -> Finalist:
        """The best finalist."""
        return self.finalists[0]


@dataclass(frozen=True)
class Summary:
    """A study and its race.

    state: DONE, RUNNING, INTERRUPTED or EMPTY.
    counts: state -> number of trials.
    trainings: effort so far, in full trainings; of the race not counted.
    extent: limits that hold: trainings, race, epochs, trials, budget (s).
    progress: share of them that is used, in [0, 1].
    images: number of validation images that trials are judged on; None before the first epoch.
    trials: those that were begun, the best first.
    expected: what the best is expected to be worth once it is known that it was chosen.
    alike: trials that the best can't be told from.
    front: trials that none beats in both accuracies, the most robust first.
    pruned: epochs that pruning left out, and all that there would have been.
    default_called: what trial 0 is called: `OWN_DEFAULT`, or the nearest to it; "" before it.
    stopped: those that pruning or the budget ended, by their reasons, the most frequent first.
    failed: reason -> numbers of the trials that failed for it.
    changes: of device, threads, versions and code what differs between epochs -> its values.
    """

    study: str
    space: str
    recipe: str
    question: str
    state: str
    objective: str
    seconds: float
    counts: Mapping[str, int]
    trainings: float
    extent: Mapping[str, float]
    progress: float
    searched: Sequence[str]
    images: int | None
    trials: Sequence[TrialSummary]
    best: TrialSummary | None
    default: TrialSummary | None
    expected: float | None
    alike: Sequence[int] | None
    front: Sequence[int]
    pruned: tuple[int, int]
    race: RaceSummary | None
    problem: Mapping[str, Any]
    methods: Sequence[Mapping[str, Any]]
    versions: Mapping[str, str]
    default_called: str
    stopped: Sequence[Stopped]
    failed: Mapping[str, Sequence[int]]
    changes: Mapping[str, Sequence[str]]

    @property
    def luck(self) -> float | None:
        """How much of the best's value is expected to be luck, at least 0; None for not known."""
        if self.best is None or self.best.final_robust is None or self.expected is None:
            return None
        return self.best.final_robust - self.expected

    def trial(self, number: int) -> TrialSummary:
        """Return a trial that was begun."""
        return next(trial for trial in self.trials if trial.trial == number)

    @property
    def distinguishable(self) -> bool | None:
        """Whether the best can be told from the default; None where nobody knows, or it is it."""
        best, default = self.best, self.default
        if best is None or default is None or best.trial == default.trial or self.alike is None:
            return None
        return default.trial not in self.alike

    @property
    def headline(self) -> str:
        """The state of the study and its answer, in one line."""
        complete, begun = self.counts["COMPLETE"], len(self.trials)
        head = f"{self.state}: {complete} of {begun} trials complete" if begun else self.state
        race = self.race
        if race is not None and race.state != DONE:
            head = f"{head}, race of the finalists {race.state}"
        answer = self._confirmed() if race is not None else self._best()
        return f"{head}, {answer}" if begun else head

    def _best(self) -> str:
        best, default = self.best, self.default
        if best is None:
            return "no best yet" if self.state == RUNNING else "no best"
        text = f"best trial {best.trial}: {best.final_robust:.3f}"
        if default is None:
            return text
        if best.trial == default.trial:
            return f"{text}, the start: nothing better was found"
        assert best.final_robust is not None and default.final_robust is not None
        gain = (
            best.over_default.value
            if best.over_default
            else best.final_robust - (default.final_robust)
        )
        said = {True: "distinguishable", False: "not distinguishable", None: "on one seed"}
        return f"{text}, {gain:+.3f} over the start, {said[self.distinguishable]}"

    def _confirmed(self) -> str:
        assert self.race is not None
        one = self.race.winner
        seeds = f"{one.seeds} fresh seed{'s' * (one.seeds > 1)}"
        text = f"best trial {one.trial}: {one.mean:.3f} over {seeds}"
        if one.gain is None:
            return f"{text}: no finalist is ahead of the start"
        told = "distinguishable" if one.gain.low > 0 else "not distinguishable"
        return f"{text}, {one.gain.value:+.3f} over the start, {told}"

    def document(self) -> dict[str, Any]:
        """Return all of it as JSON holds it, with the headline first."""
        known = {"distinguishable": self.distinguishable, "luck": self.luck}
        return {"headline": self.headline, **known, **asdict(self)}


def summarize(
    study: StudyRecord, race: StudyRecord | None = None, *, running: bool = False
) -> Summary:
    """Return what a study says.

    Args:
        study: the study of a search.
        race: the study of its race, where there is one.
        running: whether a driver runs it, or its race, now.
    """
    complete = candidates(study)
    places = {trial.number: place for place, trial in enumerate(complete, start=1)}
    defaults = [t for t in study.trials() if t.is_default and t.state == "COMPLETE"]
    default = defaults[0] if defaults else None
    rows = {
        trial.number: _trial(trial, places.get(trial.number), default)
        for trial in ranked(study)
        if trial.begun
    }
    found = selection(study) if complete else None
    trained = [trial for trial in study.trials() if trial.begun]
    known = next((t.config["valid_images"] for t in trained if t.last_epoch), None)
    problem = study.problem
    return Summary(
        study=study.name,
        space=str(problem["space"]),
        recipe=str(problem["recipe"]),
        question=_question(study),
        state=_state(study, running),
        objective=study.objective,
        seconds=study.seconds,
        counts=count_states(study),
        trainings=effort_of(study.study).trained / trained[0].total_epochs if trained else 0.0,
        extent=dict(study.extent),
        progress=progress(study),
        searched=study.searched,
        images=known if isinstance(known, int) else None,
        trials=tuple(rows.values()),
        best=rows[complete[0].number] if complete else None,
        default=rows[default.number] if default else None,
        expected=found.expected if found else None,
        alike=found.alike if found else None,
        front=tuple(trial.number for trial in front(complete)),
        pruned=pruned_epochs(study),
        race=_race(study, race, running) if race is not None else None,
        problem=dict(problem),
        methods=tuple(study.methods),
        versions=dict(study.versions),
        default_called=next((t.default_in_words for t in trained if t.is_default), ""),
        stopped=_stopped(trained),
        failed=_failed(trained),
        changes=_changes(trained),
    )


def _stopped(trials: Sequence[TrialRecord]) -> tuple[Stopped, ...]:
    """Return the stopped trials by the kinds of their reasons."""
    found = dict[str, list[TrialRecord]]()
    for trial in trials:
        if trial.state == "PRUNED":
            found.setdefault(stopped_by(trial), []).append(trial)
    groups = [
        Stopped(
            why,
            tuple(trial.number for trial in some),
            (min(t.last_epoch for t in some), max(t.last_epoch for t in some)),
        )
        for why, some in found.items()
    ]
    return tuple(sorted(groups, key=lambda group: -len(group.trials)))


def _failed(trials: Sequence[TrialRecord]) -> dict[str, tuple[int, ...]]:
    found = dict[str, tuple[int, ...]]()
    for trial in trials:
        if trial.state == "FAIL":
            found[trial.reason] = (*found.get(trial.reason, ()), trial.number)
    return found


def _changes(trials: Sequence[TrialRecord]) -> dict[str, tuple[str, ...]]:
    """Return in what machines and versions of epochs differ."""
    facts = [{**place.machine, **place.versions} for t in trials for place in t.computed_on]
    found = {name: sorted({str(fact.get(name)) for fact in facts}) for name in _MATTERS}
    return {name: tuple(values) for name, values in found.items() if len(values) > 1}


def _state(study: StudyRecord, running: bool) -> str:
    """Return the state of a search or race: a trial that waits or runs is left by a driver."""
    if running:
        return RUNNING
    if not any(trial.begun for trial in study.trials()):
        return EMPTY
    counts = count_states(study)
    return INTERRUPTED if counts["RUNNING"] or counts["WAITING"] else DONE


def _question(study: StudyRecord) -> str:
    """Return what is asked, as a sentence."""
    problem, names = study.problem, list(study.searched)
    if "model" not in problem:  # a race, whose finalists have each its own
        return "Which finalist is hardest to fool, trained with fresh seeds?"
    task = f"{problem['model']} on {problem['data']}"
    judge = f"at an evaluation epsilon of {problem['eval_epsilon']:.4g}"
    if not names:
        return f"How hard to fool is {task}, trained with loss {problem['loss']}, {judge}?"
    asked = f"{', '.join(names[:-1])} and {names[-1]} make" if names[1:] else f"{names[0]} makes"
    return f"Which {asked} {task} hardest to fool, trained with loss {problem['loss']}, {judge}?"


def _trial(trial: TrialRecord, rank: int | None, default: TrialRecord | None) -> TrialSummary:
    final = trial.final if trial.state == "COMPLETE" else None
    return TrialSummary(
        trial=trial.number,
        rank=rank,
        state=trial.state,
        epoch=trial.last_epoch,
        epochs=trial.total_epochs,
        final_robust=final.robust if final else None,
        interval=final.share.interval if final else None,
        over_default=_gain(trial, default),
        robust=trial.value,
        clean=trial.clean,
        params=dict(trial.params),
        is_default=trial.is_default,
        reason=trial.reason,
        remarks=remarks(trial),
        doubts=(*violated_constraints(trial), *warnings(trial)) if final else (),
        judged=final.count if final else None,
        would_prune=trial.would_prune,
        at_bounds=_at_bounds(trial),
    )


def _at_bounds(trial: TrialRecord) -> tuple[str, ...]:
    """Return the numbers that lie at a bound of their range, or nearer to it than a hundredth."""
    found = []
    for name, one in trial.frozen.distributions.items():
        if isinstance(one, FloatDistribution | IntDistribution) and one.high > one.low:
            scale = math.log if one.log else float
            low, high, value = (scale(x) for x in (one.low, one.high, trial.params[name]))
            if min(value - low, high - value) < _EDGE * (high - low):
                found.append(name)
    return tuple(found)


def _gain(trial: TrialRecord, default: TrialRecord | None) -> Gain | None:
    """Return a complete trial's difference to the default, from the images alone."""
    if default is None or trial.number == default.number or trial.state != "COMPLETE":
        return None
    found = difference(trial, default)
    return None if found is None else Gain(found.value, *found.interval)


def _race(study: StudyRecord, race: StudyRecord, running: bool) -> RaceSummary | None:
    found = race_result(study, race)
    if found is None:
        return None
    clean = _clean(race)
    finalists = [_finalist(found, number, clean.get(number)) for number in found.order]
    return RaceSummary(_state(race, running), finalists, found.reference)


def _clean(race: StudyRecord) -> dict[int, float]:
    """Return finalist -> its mean clean accuracy over the trainings that ended well."""
    known = dict[int, list[float]]()
    for trial in race.trials():
        if trial.state == "COMPLETE" and trial.clean is not None:
            known.setdefault(trial.params["finalist"], []).append(trial.clean)
    return {number: fmean(each) for number, each in known.items()}


def _finalist(found: RaceResult, number: int, clean: float | None) -> Finalist:
    one = found.standings[number]
    gain = None if number == found.reference else Gain(one.gain, *one.gain_interval)
    gone = found.gone.get(number, "")
    return Finalist(number, one.seeds, one.mean, one.interval, one.best, gain, gone, clean)
