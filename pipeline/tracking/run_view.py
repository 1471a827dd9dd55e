"""What a run in MLflow must show of its trial, what it does show, and whether the two agree.

MLflow can neither change a parameter nor take a metric back: a run that says something else than
the study can only be made anew, one that lacks something is completed.
"""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.study.records import TrialRecord
from pipeline.tracking.mlflow_page import (
    INTERVAL,
    METRICS,
    NOTE_TAG,
    OBJECTIVE,
    trial_metrics,
    trial_params,
    trial_tags,
)
from pipeline.tracking.told import DIFFERENCES, Standing
from regmix.evaluation.results import Masking

BEST = "best_final_robust"
"""Metric of the summary, beside the number of trials in each state, `trials_STATE`."""

NAME_TAG, TRIAL_TAG, SUMMARY_TAG = "mlflow.runName", "trial", "summary"
_STATUS = {
    "RUNNING": "RUNNING",
    "WAITING": "KILLED",  # interrupted: the tag `state` says that it is to be continued
    "COMPLETE": "FINISHED",
    "PRUNED": "KILLED",
    "FAIL": "FAILED",
}
_OURS = {"state", "epochs", "origin", "space", "recipe"}  # tags; a person may use one of them
_NAMES = {*METRICS, OBJECTIVE, *INTERVAL, *DIFFERENCES}
_NAMES |= {f"masking_{name}" for name in Masking.__dataclass_fields__}
_SUMMARY = (
    "The study as a whole. What it found is in the experiment's description; its report and its "
    "table are among the artifacts."
)
_TEXT = 1000  # characters of a tag
Point = tuple[str, int]  # metric and step


@dataclass(frozen=True)
class RunView:
    """All that a run must show.

    status: MLflow's own word for its state.
    ended: when it ended, milliseconds since 1970; None while it goes on.
    params, tags: their texts.
    points: metric and step -> value.
    times: step -> milliseconds since 1970, the same each time, so that nothing is shown twice.
    """

    status: str
    ended: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    points: Mapping[Point, float]
    times: Mapping[int, int]

    @property
    def latest(self) -> dict[str, float]:
        """The value of each metric at its last step."""
        return latest(self.points)


@dataclass
class Shown:
    """What a run shows of that; `points` are None until its history was asked for.

    damaged: whether its history and its latest values contradict each other.
    """

    run_id: str
    status: str
    ended: int | None
    name: str
    params: dict[str, str]
    tags: dict[str, str]
    latest: dict[str, float]
    points: dict[Point, float] | None = None
    damaged: bool = False
    described: bool = field(init=False)

    def __post_init__(self) -> None:
        self.described = "state" in self.tags  # else a kill came before its files were written

    def looks_like(self, due: RunView) -> bool:
        """Tell whether it shows what is due, as far as that is seen without its history."""
        return (
            self.described
            and self.has_ended_as(due)
            and self.params == due.params
            and self.latest == due.latest
            and not self.tags_to_write(due)
            and self.name == due.tags[NAME_TAG]
        )

    def has_ended_as(self, due: RunView) -> bool:
        """Tell whether status and end are those that are due."""
        return self.status == due.status and due.ended in (None, self.ended)

    def contradicts(self, due: RunView, *, later: bool = False) -> bool:
        """Tell whether it shows something that is not due.

        Args:
            due: what it must show.
            later: whether another driver may know later epochs, which are no contradiction.
        """
        known = self.points or {}
        last = max(due.times, default=0)
        superfluous = {
            point for point in known.keys() - due.points.keys() if not later or point[1] <= last
        }
        return (
            self.damaged
            or bool(superfluous)
            or any(known[point] != due.points[point] for point in known.keys() & due.points.keys())
            or any(due.params.get(name) != text for name, text in self.params.items())
        )

    def tags_to_write(self, due: RunView) -> dict[str, str]:
        """Return the tags that it lacks, or that say something else."""
        return {key: text for key, text in due.tags.items() if self.tags.get(key) != text}


def trial_view(
    trial: TrialRecord, problem: Mapping[str, Any], standing: Standing | None = None
) -> RunView:
    """Return what the run of a trial must show.

    Args:
        trial: the trial, which was begun.
        problem: identity of the problem in flat names.
        standing: how it stands among the others, where that is known.
    """
    frozen, state = trial.frozen, trial.state
    begun = int(frozen.datetime_start.timestamp() * 1000) if frozen.datetime_start else 0
    times, passed = {0: begun}, 0.0
    for epoch, metrics in trial.epochs.items():
        passed += metrics.seconds if math.isfinite(metrics.seconds) else 0.0
        times[epoch] = begun + int(passed * 1000)
    ended = frozen.datetime_complete
    tags = {
        TRIAL_TAG: str(trial.number),
        NAME_TAG: f"trial {trial.number:03d}",
        **problem_tags(problem),
        "origin": trial.origin,
        **trial_tags(trial, standing),
    }
    points = trial_metrics(trial, trial.epochs)
    points += [(name, value, 0) for name, value in (standing.points if standing else {}).items()]
    return RunView(
        status=_STATUS[state],
        ended=int(ended.timestamp() * 1000) if ended else None,
        params=trial_params(trial),
        tags={key: text[:_TEXT] for key, text in tags.items()},
        points={(name, step): kept(value) for name, value, step in points},
        times=times,
    )


def summary_tags(problem: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags of the run that stands for the study as a whole."""
    tags = {SUMMARY_TAG: "true", NAME_TAG: "summary", **problem_tags(problem), NOTE_TAG: _SUMMARY}
    return {key: text[:_TEXT] for key, text in tags.items()}


def problem_tags(problem: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that every run has."""
    return {name: str(problem[name]) for name in ("space", "recipe")}


def number_of(tags: Mapping[str, str]) -> int | None:
    """Return the number of the trial that a run's tags name, None where they name none."""
    text = tags.get(TRIAL_TAG, "")
    return int(text) if text.isdecimal() and text == str(int(text)) else None


def is_ours(tags: Mapping[str, str]) -> bool:
    """Tell whether a search wrote a run: a person may keep others in the experiment."""
    return bool({TRIAL_TAG, SUMMARY_TAG} & tags.keys()) or len(_OURS & tags.keys()) > 1


def ours(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return those metrics that a search writes, as MLflow keeps them."""
    return {name: kept(value) for name, value in metrics.items() if name in _NAMES}


def counts(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return those metrics of the summary that a search writes, as MLflow keeps them."""
    return {
        name: kept(value)
        for name, value in metrics.items()
        if name.startswith("trials_") or name == BEST
    }


def latest(points: Mapping[Point, float]) -> dict[str, float]:
    """Return the value of each metric at its last step."""
    return {name: value for (name, _), value in sorted(points.items(), key=lambda p: p[0][1])}


def kept(value: float) -> float:
    """Return a value as MLflow keeps it, and one that equals itself.

    Infinity becomes the greatest number there. NaN comes back as NaN: here it is `_NAN`, one below
    the least.
    """
    if math.isnan(value):
        return _NAN
    return max(-sys.float_info.max, min(sys.float_info.max, value))


_NAN = -math.inf  # which MLflow never returns


def written(value: float) -> float:
    """Return a kept value as it is to be written."""
    return math.nan if value == _NAN else value
