"""The race of a study's best as a command of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.commands import command, near
from pipeline.driver.plan import race_in_words, say_lines
from pipeline.driver.race import (
    Race,
    RaceRequest,
    opened,
    raced_config,
    say_end,
    summary_of,
    write_winner,
)
from pipeline.driver.session import SessionPlan, started
from pipeline.execution.ray_cluster import ClusterRequest, check_answers
from pipeline.problem.exported import load_part
from pipeline.problem.plugin_folder import check_plugins, plugin_words
from pipeline.study.ranking import distinct_candidates
from pipeline.study.records import StudyRecord, TrialRecord
from pipeline.study.storage import find_study
from pipeline.views import answer
from pipeline.views.layout import page_width
from pipeline.views.summary import RaceSummary
from regmix.config import TrainConfig
from regmix.cores import usable_cores
from regmix.errors import InputError
from regmix.images import Split


@dataclass(frozen=True)
class ConfirmRequest:
    """The checked options of `confirm.py`.

    race: the race.
    top: number of the best trials that race beside the default.
    address: existing Ray cluster.
    concurrency: number of trainings at once.
    gpus_per_trial: share of a GPU for each training, or `auto`.
    """

    race: RaceRequest
    top: int
    address: str | None
    concurrency: int | None
    gpus_per_trial: float | str | None


def run_race(asked: ConfirmRequest) -> int:
    """Begin the race of a study's best or continue it; print table and answer; write the winner.

    Returns:
        0 when the race has a winner, 1 when no training ended well, 130 when interrupted.

    Raises:
        InputError: where the study has no candidate, or other images are given.
    """
    request = asked.race
    folder = request.runs / "studies" / request.study
    source = find_study(request.study, request.storage, folder)
    check_plugins(source.plugins, request.plugins, f"--study {request.study}")
    best = _finalists(source, asked.top)
    data = _data(raced_config(best[0], request.data_dir), source)
    check_answers(asked.address)
    cluster = ClusterRequest(asked.address, asked.concurrency, asked.gpus_per_trial)
    plan = SessionPlan(cluster, data, request.plugins, request.view, source.deterministic)
    with opened(request, source, best) as race:
        if race.over:
            return _verdict(race, "FINISHED")
        known = race.controller
        seen = 0 if known is None else _done(known.record, best, request.seeds)
        at_once = asked.concurrency or usable_cores()
        words = race_in_words(best, request.seeds, seen, at_once=at_once)
        say_lines(f"race of {request.study}: {words}")
        with started(plan) as session:
            status = race.run(session)
        return _verdict(race, status)


def _finalists(source: StudyRecord, top: int) -> list[TrialRecord]:
    """Return the default, then the best."""
    complete = distinct_candidates(source)
    if not complete:
        raise InputError(f"--study {source.name}: no candidate is complete yet; go on searching")
    default = [trial for trial in complete if trial.is_default]
    return default + [trial for trial in complete[:top] if trial not in default]


def _done(race: StudyRecord, best: Sequence[TrialRecord], seeds: int) -> int:
    """Return how many trainings of these finalists have ended, with seeds that are asked for."""
    numbers = {trial.number for trial in best}
    ended = [t for t in race.trials() if t.ended and t.params["finalist"] in numbers]
    order = sorted({trial.params["seed"] for trial in ended})[:seeds]
    return sum(trial.params["seed"] in order for trial in ended)


def _data(config: TrainConfig, source: StudyRecord) -> Split:
    """Return the images of the search, divided as there: what is measured is never searched."""
    images = load_part(config, "train")
    if images.fingerprint() != source.data["fingerprint"]:
        raise InputError(
            f"--study {source.name}: was searched on other images; give them by --data-dir"
        )
    return config.split(images)


def _verdict(race: Race, status: str) -> int:
    """Print answer and table of `confirm.py`, and write the winner."""
    found = summary_of(race)
    code = say_end(race, status, found)
    if code or found.race is None:
        return code
    print("\n".join(("", *answer.page(found, page_width()), "")))
    path = write_winner(race, found.race.winner.trial)
    print("next, once, on test data:")
    for line in after_race(race.request, race.source, found.race, path):
        print(f"  {line}")
    return 0


def after_race(
    request: RaceRequest, study: StudyRecord, raced: RaceSummary | None, file: Path | None
) -> list[str]:
    """Return the commands that come after `confirm.py`.

    Args:
        request: the race.
        study: the study that found the finalists.
        raced: what the race says; None where no training ended well.
        file: the winner's file; None where there is none.
    """
    assert study.name == request.study, "the race is of this study"
    if raced is None or file is None:
        return []
    return [command("evaluate.py", near(file), *plugin_words(request.plugins))]
