"""The race at the end of a search: its best against trial 0, with fresh seeds."""

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.base.narration import tell
from pipeline.driver.plan import race_in_words, say_lines
from pipeline.driver.race import (
    MOST_SEEDS,
    Allowance,
    Race,
    RaceRequest,
    opened,
    say_end,
    summary_of,
    write_winner,
)
from pipeline.driver.request import SearchRequest
from pipeline.driver.session import Session, next_commands
from pipeline.race import share
from pipeline.study.budget import Pace
from pipeline.study.controller import StudyController
from pipeline.study.effort import effort_of
from pipeline.study.ranking import distinct_candidates
from pipeline.study.records import StudyRecord, TrialRecord
from pipeline.study.storage import exclusive, existing_study, is_database, study_folder
from pipeline.views import answer
from pipeline.views.formatting import duration
from pipeline.views.layout import page_width, say
from pipeline.views.summary import RaceSummary, Summary
from regmix.cores import usable_cores
from regmix.errors import InputError


def was_begun(request: SearchRequest, study: StudyRecord | None) -> bool:
    """Tell whether a study's race was begun before this command, and prove that it is its own.

    Args:
        request: the search.
        study: the study that is searched; None where it is new.

    Raises:
        InputError: where the race is of another search, or another process holds it.
    """
    place = study_folder(request.runs, f"{request.study}-confirm")
    with contextlib.ExitStack() as stack:
        if not is_database(request.storage):
            if not place.exists():
                return False
            stack.enter_context(exclusive(place, None)).made = True
        race = existing_study(place.name, request.storage, place, request.heartbeat)
        if race is None or not race.exists:
            return race is not None
        race.check_format()
        if study is None or not study.exists:
            raise InputError(
                f"--study {request.study}: is new, but {race.name} is the race of an earlier study "
                "of this name; choose a new name by --study, or leave the race out by --no-confirm"
            )
        race.compare("source", {"birth": study.birth})
    return True


def race_best(
    request: SearchRequest,
    controller: StudyController,
    ray: Callable[[], contextlib.AbstractContextManager[Session]],
    *,
    begun: bool,
) -> int:
    """Race the best of a search that is over, or go on with that; print the answer.

    Args:
        request: the search.
        controller: what ran it.
        ray: function that returns a session whose Ray is up, called where something is to do.
        begun: whether the race was begun before this command.

    Returns:
        0, or 130 when interrupted.
    """
    study, allowance = controller.record, _allowance(request, controller)
    best = _finalists(request, study, allowance)
    if isinstance(best, str):
        _say_next(next_commands(request, study), f"No race: {best}.")
        return 0
    with opened(_race_request(request, allowance), study, best) as race:
        status = "FINISHED"
        if not race.over:
            if _is_others(race, begun):
                _say_next(
                    next_commands(request, study),
                    "Another driver races the best; type this again later.",
                )
                return 0
            numbers = ", ".join(str(trial.number) for trial in best)
            words = race_in_words(
                best,
                MOST_SEEDS,
                0 if race.controller is None else len(race.controller.record.trials()),
                at_once=request.concurrency or usable_cores(),
                most=allowance.trainings,
                seconds=allowance.seconds,
            )
            tell("")
            say_lines(f"race of trials {numbers} with fresh seeds: {words}")
            with ray() as session:
                status = race.run(session)
        found = summary_of(race)
        code = say_end(race, status, found)
        if code or found.race is None:
            return code if status == "KILLED" else 0  # the search has its answer
        _say_answer(request, race, found, found.race)
        return 0


def _is_others(race: Race, begun: bool) -> bool:
    """Tell whether another driver on the database runs the race, or began it a moment ago."""
    known = race.controller
    return known is not None and known.heartbeat is not None and (known.shared or not begun)


def _allowance(request: SearchRequest, controller: StudyController) -> Allowance:
    """Return what the race may use: its share of the trainings and of the time."""
    study, budget = controller.record, controller.record.asked.get("budget")
    trainings = study.extent.get("race")
    if trainings is None and budget is None:
        epochs = request.problem.config({}).epochs
        trainings = share.after(effort_of(study.study).trained / epochs)
    seconds = float("inf")
    if budget is not None:
        seconds = max(share.SHARE * budget, budget - study.seconds)
    return Allowance(None if trainings is None else int(trainings), seconds)


def _finalists(
    request: SearchRequest, study: StudyRecord, allowance: Allowance
) -> list[TrialRecord] | str:
    """Return trial 0 and the best others, or why nothing can be raced."""
    complete = distinct_candidates(study)
    if not complete:
        return "no trial is a candidate"
    if len(complete) == 1:
        return f"trial {complete[0].number} is the only candidate"
    count = 1 + share.OTHERS
    if allowance.trainings is not None:
        count = share.places(allowance.trainings)
        if not count:
            return "a quarter of so few trainings is too little; 16 or more leave enough"
    count = min(count, _in_time(request, complete, allowance.seconds))
    if not count:
        left = duration(allowance.seconds)
        return f"{left} of the budget is too short for two finalists with two seeds each"
    default = [trial for trial in complete if trial.is_default]
    if complete[0].is_default:  # then two others show whether it is really the best
        count = min(count, 3)
    others = [trial for trial in complete if trial not in default]
    return default + others[: count - len(default)]


def _in_time(request: SearchRequest, complete: list[TrialRecord], seconds: float) -> int:
    """Return for how many finalists with two seeds each there is time; 0 for fewer than two."""
    known = Pace.of(one for trial in complete for one in trial.epochs.values())
    task, at_once = request.problem.config({}), request.concurrency or usable_cores()

    def needed(racing: int) -> float:
        each = share.as_finalists(known, task, racing).needed(task.epochs)
        return share.SEEDS * -(-racing // at_once) * each

    return next((n for n in range(1 + share.OTHERS, 1, -1) if needed(n) <= seconds), 0)


def _race_request(request: SearchRequest, allowance: Allowance) -> RaceRequest:
    return RaceRequest(
        command="search",
        study=request.study,
        seeds=MOST_SEEDS,
        runs=request.runs,
        out=request.out,
        storage=request.storage,
        tracking_uri=request.tracking_uri,
        data_dir=None,
        plugins=request.plugins,
        retry_failed=request.retry_failed,
        heartbeat=request.heartbeat,
        allowance=allowance,
    )


def _say_answer(request: SearchRequest, race: Race, found: Summary, raced: RaceSummary) -> None:
    """Print the answer, write the winner, and say what comes next."""
    print("\n".join(("", *answer.page(found, page_width()), "")))
    path = write_winner(race, raced.winner.trial)
    _say_next(after_search(request, race.source, raced, path))


def after_search(
    request: SearchRequest, study: StudyRecord, raced: RaceSummary | None, file: Path | None
) -> list[str]:
    """Return the commands that come after a search.

    Args:
        request: the search.
        study: its study.
        raced: what its race says; None where there was none.
        file: the winner's file; None where there is none.
    """
    if raced is None or file is None:
        return next_commands(request, study)
    seeds = max(one.seeds for one in raced.finalists)
    more = ("--top", max(1, len(raced.finalists) - 1), "--seeds", 2 * seeds)
    return next_commands(request, study, file, more)


def _say_next(commands: Sequence[str], said: str = "") -> None:
    """Print why nothing is raced, if nothing is, and the commands that come next."""
    if said:
        say(f"\n{said}")
    print("\nnext:")
    for line in commands:
        print(f"  {line}")
