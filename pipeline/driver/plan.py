"""What a command is going to do, in a few lines, before anything takes long."""

from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path

from pipeline.base.commands import near
from pipeline.base.narration import tell
from pipeline.driver.publish import View
from pipeline.driver.request import SearchRequest, has_driver_of_a_card
from pipeline.race.share import SHARE, as_finalists
from pipeline.samplers.grid import whole_grid
from pipeline.study.budget import Pace
from pipeline.study.copied_study import CopiedStudy
from pipeline.study.records import TrialRecord
from pipeline.tracking.uri import default_uri
from pipeline.views.formatting import duration
from pipeline.views.layout import lines, page_width
from regmix.config import TrainConfig
from regmix.cores import usable_cores
from regmix.errors import masked

_START = 10  # s until workers train: Ray starts in five, and each process loads torch in four


def say_plan(
    request: SearchRequest,
    limits: Mapping[str, float],
    place: Path,
    known: Pace,
    copies: Sequence[CopiedStudy] = (),
) -> None:
    """Say what a search asks, how much it may use, where it is, and when the first epoch comes.

    Args:
        request: the search.
        limits: what the study may use, see `StudyRecord.extent`.
        place: the study's folder.
        known: pace of earlier sessions.
        copies: of the studies that a new one begins from.
    """
    problem = request.problem
    sought = "robust and clean accuracy" if request.rules.front else "robust accuracy"
    names, config, recipe = ", ".join(problem.space.ranges), problem.config({}), problem.recipe.name
    data = config.data.name
    say_lines(
        f"{request.study}: which {names} (space {problem.space.name}) give the best {sought} on "
        f"{data if data == recipe else f'{data} (recipe {recipe})'}?",
        f"effort: {effort(limits, config.epochs, race=request.confirm)}; {_at_once(request)}",
        *(_begins_with(copy) for copy in copies if copy.first),
        *_few_configurations(request, limits),
        f"study: {request.storage and masked(request.storage) or near(place)}; "
        f"MLflow: {_view(request.view)}",
        first_epoch(known),
    )


def say_lines(*sentences: str) -> None:
    """Say sentences, broken at words where they are longer than the console is wide."""
    for sentence in sentences:
        for line in lines(sentence, page_width()):
            tell(line)


def first_epoch(known: Pace) -> str:
    """Return when the first epoch is to be expected.

    Args:
        known: pace of earlier sessions, if there were any.
    """
    if known.epochs:
        seconds = _START + known.seconds / known.epochs
        return f"first epoch in about {duration(seconds)}"
    return f"first epoch in about {duration(_START)}, more where an epoch takes long"


def effort(limits: Mapping[str, float], epochs: int, *, race: bool) -> str:
    """Return '24 trainings of 12 epochs, then 8 trainings for the race of the best'.

    Args:
        limits: what the study may use, see `StudyRecord.extent`; what its race has comes on top.
        epochs: number of epochs of a training.
        race: whether the best race at the end.
    """
    words = list[str]()
    if "trainings" in limits:
        words.append(f"{limits['trainings']:.0f} trainings of {epochs} epochs")
    if "trials" in limits:
        words.append(f"at most {limits['trials']:.0f} trials of {epochs} epochs or fewer")
    if "budget" in limits:
        words.append(f"at most {duration(limits['budget'])}")
    return " and ".join(words) + (_for_race(limits) if race else "")


def _for_race(limits: Mapping[str, float]) -> str:
    """Return ', then 8 trainings for the race of the best'; '' where so few leave none."""
    if "race" not in limits and "budget" not in limits:
        return ", then a race of the best"
    if limits.get("race") == 0:
        return ""
    kept = [f"{limits['race']:.0f} trainings"] if "race" in limits else []
    if "budget" in limits:
        kept.append(duration(limits["budget"] * SHARE / (1 - SHARE)))
    return f", then {' and '.join(kept)} for the race of the best"


def _few_configurations(request: SearchRequest, limits: Mapping[str, float]) -> list[str]:
    """Return a hint where a study may train more than its space has configurations; else []."""
    count = whole_grid(request.problem.space.ranges)
    most = limits.get("trainings", limits.get("trials", inf))
    if request.sampler == "grid" or count is None or count >= most:
        return []
    return [
        f"the space has {count} configurations, which the search would train again and again; "
        "--sampler grid tries each once"
    ]


def _begins_with(copy: CopiedStudy) -> str:
    """Return 'begins with wamr-digits trials 12, 3'."""
    numbers = ", ".join(str(number) for number, _ in copy.first)
    return f"begins with {copy.study} trial{'s' * (len(copy.first) > 1)} {numbers}"


def _at_once(request: SearchRequest) -> str:
    """Return how many trials run at once, where that is known before Ray is asked."""
    if request.concurrency is not None:
        return f"at most {request.concurrency} at once"
    if request.address is not None:
        return "as many at once as the cluster has room for"
    if request.gpus_per_trial or has_driver_of_a_card():
        return "as many at once as the GPUs have room for"
    return f"{usable_cores()} at once"


def _view(view: View) -> str:
    """Return where MLflow keeps its view: a file where it is the usual one."""
    usual = view.uri == default_uri(view.runs)
    return near(view.runs / "mlflow.db") if usual else masked(view.uri)


def race_in_words(
    finalists: Sequence[TrialRecord],
    seeds: int,
    done: int = 0,
    *,
    at_once: int,
    most: int | None = None,
    seconds: float = inf,
) -> str:
    """Return 'at most 18 trainings of 6 finalists, with 3 seeds each, about 5:00'.

    Args:
        finalists: complete trials of the search.
        seeds: number of seeds of each, at most.
        done: number of trainings that have ended.
        at_once: number of trainings that run at once.
        most: number of trainings that a search keeps for its race; None for no limit.
        seconds: time that it keeps.
    """
    every = len(finalists) * seeds
    count = max(0, (every if most is None else min(every, most)) - done)
    limited = most is not None or seconds < inf
    words = f"at most {count} trainings of " if most is not None or not limited else ""
    words += f"{len(finalists)} finalists"
    if any(trial.is_default for trial in finalists):
        words += ", the recipe's default among them"
    if limited and most is None:
        words += ", with as many seeds as fit"
    elif every == count + done:
        words += f", with {seeds} seeds each"
    known = Pace.of(one for trial in finalists for one in trial.epochs.values())
    task = TrainConfig.from_flat(finalists[0].config)
    needed = as_finalists(known, task, len(finalists)).needed(task.epochs)
    whole = min(seconds, -(-count // max(1, at_once)) * needed)
    return f"{words}, about {duration(whole)}" if needed and whole < inf else words
