"""A race of a study's finalists: opened, run, and its winner written."""

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pipeline import pruners, samplers
from pipeline.base.commands import command, near
from pipeline.base.early import INTERRUPTED
from pipeline.driver.export import export
from pipeline.driver.publish import View
from pipeline.driver.session import PROCESS_START, SessionPlan, execute, started
from pipeline.execution.ray_cluster import ClusterRequest, check_answers
from pipeline.problem.environment import versions
from pipeline.problem.exported import load_part
from pipeline.problem.plugin_folder import check_plugins, plugin_words
from pipeline.race.rounds import (
    RaceProblem,
    RoundQueue,
    finalists_of,
    median_run,
    survivors,
)
from pipeline.race.statistics import ranked, standings
from pipeline.report import race_table
from pipeline.report.formatting import console
from pipeline.study import failures
from pipeline.study.budget import TimeBudget
from pipeline.study.controller import StudyController
from pipeline.study.ranking import candidates
from pipeline.study.records import StudyRecord, TrialRecord
from pipeline.study.retention import Retention, files_of
from pipeline.study.storage import (
    exclusive,
    existing_study,
    find_study,
    open_storage,
    open_study,
    study_folder,
)
from regmix.config import TrainConfig
from regmix.errors import InputError
from regmix.images import Split
from regmix.plugins import Plugins
from regmix.user_files import absolute

EVERY_RUN = 10**6  # the weights of all of them are kept: the winner's median run is exported


@dataclass(frozen=True)
class RaceRequest:
    """The checked options of `confirm.py`.

    study: name of the study that was searched.
    top: number of its best trials that race beside the default.
    seeds: number of fresh seeds that each is trained with.
    runs: folder of studies.
    out: folder for the winner.
    storage: database URL or journal file of the study; None for the journal in its folder.
    tracking_uri: MLflow's database or server.
    data_dir: folder of the images, if not where the search found them.
    address: existing Ray cluster.
    concurrency: number of trainings at once.
    gpus_per_trial: share of a GPU for each training, or `auto`.
    plugins: variants outside of the tool.
    retry_failed: whether failed trainings of earlier sessions are tried again.
    """

    study: str
    top: int
    seeds: int
    runs: Path
    out: Path
    storage: str | None
    tracking_uri: str
    data_dir: str | None
    address: str | None
    concurrency: int | None
    gpus_per_trial: float | str | None
    plugins: Plugins | None

    @property
    def view(self) -> View:
        """Where MLflow shows the study, and where the study is."""
        return View(self.tracking_uri, self.runs, self.storage)

    retry_failed: bool = False


def run_race(request: RaceRequest) -> int:
    """Begin the race or continue it; print table and verdict, and write the winner.

    Returns:
        0 when the race has a winner, 1 when no training ended well, 130 when interrupted.

    Raises:
        InputError: where the study has no candidate, or other images are given.
    """
    folder = request.runs / "studies" / request.study
    source = find_study(request.study, request.storage, folder)
    check_plugins(source.plugins, request.plugins, f"--study {request.study}")
    best = _finalists(source, request)
    data = _data(_config(best[0], request.data_dir), source)
    place = study_folder(request.runs, f"{request.study}-confirm")
    check_answers(request.address)
    with exclusive(place, request.storage) as claim:
        race = existing_study(place.name, request.storage, place)
        claim.made = race is not None
        if race is not None:
            controller = _begin(request, source, best, race, place)
            if controller.queue.empty() or controller.hopeless:
                return _tell(request, source, controller, place, "FINISHED")
        cluster = ClusterRequest(request.address, request.concurrency, request.gpus_per_trial)
        with started(SessionPlan(cluster, data, request.plugins, request.view)) as session:
            if race is None:
                race = open_study(place.name, open_storage(request.storage, place))
                claim.made = True
                controller = _begin(request, source, best, race, place)
            record = controller.record
            tracker = request.view.tracker(record, shared=controller.heartbeat is not None)
            status = execute(controller, _retention(record, place), tracker, session)
        return _tell(request, source, controller, place, status)


def _begin(
    request: RaceRequest,
    source: StudyRecord,
    best: list[TrialRecord],
    race: StudyRecord,
    place: Path,
) -> StudyController:
    """Store what the race holds to, and make ready what is left of it."""
    race.begin_study(versions())
    race.hold("data", source.data)
    race.hold("checkpoints", {"url": source.checkpoints})
    race.hold("plugins", source.plugins)
    again: tuple[int, ...] = ()
    if request.retry_failed:
        load = partial(existing_study, place.name, request.storage, place)
        race, again = failures.reopen(race, load)
        race.readmit({race.trial(number).params["finalist"] for number in again})
        print(f"{race.name}: {len(again)} failed trainings will be tried again", flush=True)
    finalists = _with_racing(best, source, race)
    configs = {trial.number: _config(trial, request.data_dir) for trial in finalists}
    problem = RaceProblem(race.name, str(source.problem["recipe"]), configs)
    race.hold("problem", problem.identity())
    controller = _controller(request, race, problem, finalists[0])
    controller.try_again(again)
    controller.requeue_orphans()
    controller.queue.refill()
    return controller


def _retention(race: StudyRecord, place: Path) -> Retention:
    return Retention(race, files_of(race, place), EVERY_RUN)


def _finalists(source: StudyRecord, request: RaceRequest) -> list[TrialRecord]:
    """Return the default, then the best."""
    complete = candidates(source)
    if not complete:
        raise InputError(f"--study {source.name}: no candidate is complete yet; go on searching")
    default = [trial for trial in complete if trial.is_default]
    return default + [trial for trial in complete[: request.top] if trial not in default]


def _with_racing(
    best: list[TrialRecord], source: StudyRecord, race: StudyRecord
) -> list[TrialRecord]:
    """Return the best and those that race already: an earlier command may have asked for more."""
    racing = finalists_of(race) - {trial.number for trial in best}
    return best + [trial for trial in source.trials() if trial.number in racing]


def _config(trial: TrialRecord, data_dir: str | None) -> TrainConfig:
    flat = dict(trial.config)
    if data_dir is not None and "data_dir" in flat:
        flat["data_dir"] = str(absolute(data_dir, "--data-dir"))
    return TrainConfig.from_flat(flat)


def _data(config: TrainConfig, source: StudyRecord) -> Split:
    """Return the images of the search, divided as there: what is measured is never searched."""
    images = load_part(config, "train")
    if images.fingerprint() != source.data["fingerprint"]:
        raise InputError(
            f"--study {source.name}: was searched on other images; give them by --data-dir"
        )
    return config.split(images)


def _controller(
    request: RaceRequest, race: StudyRecord, problem: RaceProblem, first: TrialRecord
) -> StudyController:
    reference, finalists = first.number, tuple(problem.finalists)
    task, origin = problem.finalists[reference], f"trial {reference}"
    if first.is_default:
        origin = first.origin
    seeds = tuple(range(task.seed + 1, task.seed + 1 + request.seeds))
    return StudyController(
        race.study,
        problem,
        pruners.build("none", 1),
        samplers.factory("random", 0, problem.space),  # never asked: every trial is enqueued
        RoundQueue(race, seeds, finalists, reference, task, origin),
        TimeBudget(before=race.seconds, begun=PROCESS_START),
    )


def _tell(
    request: RaceRequest,
    source: StudyRecord,
    controller: StudyController,
    place: Path,
    status: str,
) -> int:
    """Print the table and the verdict, and write the winner."""
    race, problem = controller.record, controller.problem
    assert isinstance(problem, RaceProblem), "a race has finalists"
    known = {n: runs for n, runs in survivors(race).items() if n in problem.finalists}
    first, gone = next(iter(problem.finalists)), race.eliminated
    if known:
        reference = first if first in known else next(iter(known))
        found = standings(known, reference)
        order = ranked(found, gone)
        console().print(race_table.table(source, found, order, gone, reference))
    if status == "KILLED":
        print(f"interrupted; nothing is lost: the same command continues {race.name}")
        return INTERRUPTED
    if status == "FAILED" or not known:
        lost = failures.failed(race)
        said = f"{failures.in_words(lost)}, so no training ended well" if lost else "none is done"
        print(
            f"confirm: {said}; once the cause is mended, --retry-failed tries them again",
            file=sys.stderr,
        )
        return 1
    winner = order[0]
    path, run = request.out / f"{source.name}-confirmed.yaml", median_run(race, winner)
    export(race, run, files_of(race, place), path, {"finalist": winner})
    print(f"\n{race_table.verdict(source, found, winner, reference, request.seeds)}")
    print(f"wrote {path}: seed {run.params['seed']}, the median of its seeds")
    again = command("evaluate.py", near(path), *plugin_words(request.plugins))
    print(f"next, once, on test data:\n  {again}")
    return 0
