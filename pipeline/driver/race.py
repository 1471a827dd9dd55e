"""A race of a study's finalists: opened, run, and its winner written."""

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import pruners, samplers
from pipeline.base.commands import near
from pipeline.base.early import INTERRUPTED
from pipeline.base.narration import tell
from pipeline.driver.export import export
from pipeline.driver.publish import View, publish_again
from pipeline.driver.session import Session, execute, say_interrupted
from pipeline.problem.environment import versions
from pipeline.race import share
from pipeline.race.rounds import (
    RaceProblem,
    RoundQueue,
    finalists_of,
    median_run,
)
from pipeline.race.share import RoundLimit, as_finalists
from pipeline.study import failures
from pipeline.study.budget import Pace, TimeBudget
from pipeline.study.controller import StudyController
from pipeline.study.effort import Trainings
from pipeline.study.folder_owner import own, prove_free, prove_owner
from pipeline.study.heartbeat import Heartbeat
from pipeline.study.records import StudyRecord, TrialRecord
from pipeline.study.retention import Retention, files_at, files_of
from pipeline.study.storage import (
    exclusive,
    existing_study,
    is_database,
    open_storage,
    open_study,
    study_folder,
)
from pipeline.views import race_table
from pipeline.views.layout import page_width
from pipeline.views.summary import Summary, summarize
from regmix.config import TrainConfig
from regmix.plugins import Plugins
from regmix.user_files import absolute

EVERY_RUN = 10**6  # the weights of all of them are kept: the winner's median run is exported
MOST_SEEDS = 1000


@dataclass(frozen=True)
class Allowance:
    """What a race may use where it is part of a search.

    trainings: the effort, in full trainings; None for no limit.
    seconds: the time.
    """

    trainings: int | None = None
    seconds: float = float("inf")


@dataclass(frozen=True)
class RaceRequest:
    """The checked options of a race.

    command: name of the command, for messages.
    study: name of the study that was searched.
    seeds: number of fresh seeds that each finalist is trained with, at most.
    runs: folder of studies.
    out: folder for the winner.
    storage: database URL or journal file of the study; None for the journal in its folder.
    tracking_uri: MLflow's database or server.
    data_dir: folder of the images, if not where the search found them.
    plugins: variants outside of the tool.
    retry_failed: whether failed trainings of earlier sessions are tried again.
    heartbeat: interval between the beats of a driver on a database, seconds.
    allowance: what it may use; None where every finalist is to have all seeds.
    """

    command: str
    study: str
    seeds: int
    runs: Path
    out: Path
    storage: str | None
    tracking_uri: str
    data_dir: str | None
    plugins: Plugins | None
    retry_failed: bool = False
    heartbeat: int = 60
    allowance: Allowance | None = None

    @property
    def view(self) -> View:
        """Where MLflow shows the study, and where the study is."""
        return View(self.tracking_uri, self.runs, self.storage)

    @property
    def place(self) -> Path:
        """The race's folder."""
        return study_folder(self.runs, f"{self.study}-confirm")

    def existing(self) -> StudyRecord | None:
        """Load the race, if it was ever begun."""
        return existing_study(self.place.name, self.storage, self.place, self.heartbeat)


@dataclass
class Race:
    """A race whose name this driver holds; it may be still to begin.

    request: what was asked for.
    source: the study that found the finalists.
    best: the finalists, of which an earlier command may have asked for more.
    controller: what runs it; None before it is begun.
    made: whether it is there.
    """

    request: RaceRequest
    source: StudyRecord
    best: Sequence[TrialRecord]
    controller: StudyController | None = None
    made: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing of it is left to do."""
        known = self.controller
        return known is not None and (known.queue.empty() or known.hopeless) and not known.shared

    def run(self, session: Session) -> str:
        """Run what is left of it; return FINISHED, FAILED or KILLED.

        Args:
            session: the session, whose Ray is up.
        """
        if self.controller is None:
            request = self.request
            storage = open_storage(request.storage, request.place, beat=request.heartbeat)
            race, self.made = open_study(request.place.name, storage), True
            self.begin(race, session.places.now)
        controller = self.controller
        assert controller is not None, "it was begun"
        tracker = self.request.view.tracker(
            controller.record, shared=controller.heartbeat is not None
        )
        retention = Retention(
            controller.record, files_of(controller.record, self.request.place), EVERY_RUN
        )
        status = execute(controller, retention, tracker, session, self.expected)
        publish_again(self.source, self.request.view)
        return status

    @property
    def expected(self) -> Pace:
        """How long a training takes, as far as the search tells."""
        known = Pace.of(one for trial in self.best for one in trial.epochs.values())
        return as_finalists(known, raced_config(self.best[0], None), len(self.best))

    def begin(self, race: StudyRecord, at_once: int | None = None) -> None:
        """Store what the race holds to, and make ready what is left of it.

        Args:
            race: its study.
            at_once: number of trainings that run at once, where that is known now.
        """
        request, source = self.request, self.source
        race.begin_study(versions())
        prove_owner(race, request.place)
        own(race, request.place, request.storage)
        if at_once:
            race.set_extent({"at_once": at_once})
        race.hold("source", {"birth": source.birth})
        race.hold("data", source.data)
        race.hold("checkpoints", {"url": source.checkpoints})
        race.hold("plugins", source.plugins)
        again: tuple[int, ...] = ()
        if request.retry_failed:
            race, again = failures.reopen(race, request.existing)
            race.readmit({race.trial(number).params["finalist"] for number in again})
            tell(f"{race.name}: {len(again)} failed trainings will be tried again")
        finalists = _with_racing(request, self.best, source, race)
        configs = {trial.number: raced_config(trial, request.data_dir) for trial in finalists}
        problem = RaceProblem(race.name, str(source.problem["recipe"]), configs)
        race.hold("problem", problem.identity())
        self.controller = _controller(self, race, problem, finalists[0])
        self.controller.try_again(again)
        self.controller.requeue_orphans()
        self.controller.queue.refill()


@contextlib.contextmanager
def opened(
    request: RaceRequest, source: StudyRecord, best: Sequence[TrialRecord]
) -> Iterator[Race]:
    """Hold the race's name, and make the race ready where it was begun before.

    Args:
        request: what is asked for.
        source: the study that found the finalists.
        best: the finalists, the default first.

    Raises:
        InputError: where another process holds it, or it is of another study.
    """
    storage = request.storage  # a search that ends with this race holds its journal already
    if request.allowance is not None and not is_database(storage):
        storage = None
    with exclusive(request.place, storage) as claim:
        found = request.existing()
        if found is None:
            files = files_at(request.place.name, request.place, source.checkpoints)
            prove_free(request.place.name, request.place, request.storage, files)
        race = Race(request, source, best, made=found is not None)
        claim.made = race.made
        if found is not None:
            race.begin(found)
        try:
            yield race
        finally:
            claim.made = race.made


def _with_racing(
    request: RaceRequest, best: Sequence[TrialRecord], source: StudyRecord, race: StudyRecord
) -> list[TrialRecord]:
    """Return the best and those that race already: an earlier command may have asked for more.

    Into a race with an allowance no more come than can be trained with all seeds so far: who was
    trained with fewer would lead by chance.
    """
    racing, come = finalists_of(race), list(best)
    if racing and request.allowance is not None and request.allowance.trainings is not None:
        seeds = max(share.SEEDS, len({trial.params.get("seed") for trial in race.trials()}))
        room = (request.allowance.trainings - len(race.trials())) // seeds
        new = [trial for trial in best if trial.number not in racing]
        come = [trial for trial in best if trial not in new[max(0, room) :]]
    others = racing - {trial.number for trial in come}
    return come + [trial for trial in source.trials() if trial.number in others]


def raced_config(trial: TrialRecord, data_dir: str | None) -> TrainConfig:
    """Return a finalist's configuration, with its images where they are now.

    Args:
        trial: the trial that found it.
        data_dir: folder of the images, if not where the search found them.
    """
    flat = dict(trial.config)
    if data_dir is not None and "data_dir" in flat:
        flat["data_dir"] = str(absolute(data_dir, "--data-dir"))
    return TrainConfig.from_flat(flat)


def _controller(
    race: Race, study: StudyRecord, problem: RaceProblem, first: TrialRecord
) -> StudyController:
    request = race.request
    reference, finalists = first.number, tuple(problem.finalists)
    task, origin = problem.finalists[reference], f"trial {reference}"
    if first.is_default:
        origin = first.origin
    own = Pace.of(one for trial in study.trials() for one in trial.epochs.values())
    earlier = own if own.ends else race.expected
    clock = TimeBudget(before=study.seconds, begun=time.monotonic(), earlier=earlier)
    trainings, limit = None, None
    if request.allowance is not None:
        epochs = problem.finalists[reference].epochs
        if request.allowance.trainings is not None:
            trainings = Trainings(request.allowance.trainings, epochs)
        at_once = int(study.extent.get("at_once", 1))
        limit = RoundLimit(epochs, clock, trainings, request.allowance.seconds, at_once)
    seeds = range(task.seed + 1, task.seed + 1 + request.seeds)
    return StudyController(
        study.study,
        problem,
        pruners.build("none", 1),
        samplers.factory("random", 0, problem.space),  # never asked: every trial is enqueued
        RoundQueue(study, seeds, finalists, reference, task, origin, limit),
        clock,
        trainings,
        heartbeat=Heartbeat(study.study, request.heartbeat)
        if is_database(request.storage)
        else None,
    )


def summary_of(race: Race) -> Summary:
    """Return what the study and its race say, which has begun."""
    assert race.controller is not None, "it has begun"
    return summarize(race.source, race.controller.record, running=race.controller.shared)


def say_end(race: Race, status: str, found: Summary) -> int:
    """Say why a race has no winner, with its table as far as it got; return 0 where it has one.

    Args:
        race: the race, which has begun.
        status: FINISHED, FAILED or KILLED.
        found: what the study and its race say.

    Returns:
        exit status of `confirm.py`.
    """
    assert race.controller is not None, "it has begun"
    study = race.controller.record
    if status != "FINISHED" and found.race is not None:
        print("\n".join(("", *race_table.page(found, page_width()))))
    if status == "KILLED":
        say_interrupted(study.name)
        return INTERRUPTED
    if status == "FAILED" or found.race is None:
        lost = failures.failed(study)
        said = f"{failures.in_words(lost)}, so no training ended well" if lost else "none is done"
        print(
            f"{race.request.command}: {said}; once the cause is mended, --retry-failed tries them "
            "again",
            file=sys.stderr,
        )
        return 1
    return 0


def write_winner(race: Race, winner: int) -> Path:
    """Write the winner's configuration with the weights of its median seed, say so; return where.

    Args:
        race: the race, which has a winner.
        winner: number of the winner.
    """
    assert race.controller is not None, "it has begun"
    study, request = race.controller.record, race.request
    path, run = request.out / f"{race.source.name}-confirmed.yaml", median_run(study, winner)
    export(study, run, files_of(study, request.place), path, {"finalist": winner})
    print(f"wrote {near(path)}: seed {run.params['seed']}, the median of its seeds")
    return path
