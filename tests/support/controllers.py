"""A study with its controller and without Ray: a real Optuna study in a real journal."""

import contextlib
from functools import cache

import optuna
import pytest
from optuna.storages import JournalStorage

from pipeline import pruners, samplers
from pipeline.problem.problem import SearchProblem
from pipeline.study.controller import StudyController
from pipeline.study.events import EpochResult
from pipeline.study.queue import SampledQueue
from pipeline.study.records import StudyRecord
from pipeline.study.result_order import settle
from pipeline.study.storage import open_storage
from regmix.evaluation.results import FinalEvaluation, Masking
from regmix.training.metrics import EpochMetrics

optuna.logging.set_verbosity(optuna.logging.ERROR)
EPOCHS = 4
MACHINE = {"device": "cpu", "threads": 1}
VERSIONS = {"python": "3.11", "code": "0a"}


def metrics(epoch, robust, *, last=EPOCHS, final_robust=None, clean=0.9, seconds=1.0, **more):
    """Return the metrics of an epoch; after the `last` one with a final evaluation.

    Args:
        epoch: number of the epoch.
        robust: robust accuracy on the validation images.
        last: number of epochs of the whole run.
        final_robust: robust accuracy of the final evaluation; None takes `robust`.
        clean: clean accuracy.
        seconds: length of the epoch.
        more: other fields of `EpochMetrics`.
    """
    values = {
        **dict.fromkeys(EpochMetrics.__dataclass_fields__, 0.5),
        "epoch": epoch,
        "best_epoch": epoch,
        "co_detected": False,
        "valid_robust": robust,
        "valid_clean": clean,
        "seconds": seconds,
        "final": None,
    }
    if epoch == last:
        share = robust if final_robust is None else final_robust
        values["final"] = FinalEvaluation(round(1000 * share), 1000, no_masking())
    return EpochMetrics(**{**values, **more})


def no_masking():
    """Return a masking check that found no sign."""
    return Masking(**dict.fromkeys(Masking.__dataclass_fields__, 0.0))


def epoch_result(epoch, robust, **more):
    """Return what a worker sends of an epoch; arguments as of `metrics`."""
    return EpochResult(metrics(epoch, robust, **more), MACHINE, VERSIONS)


@cache  # frozen, and read from YAML
def problem_of(epochs=EPOCHS, **task):
    return SearchProblem.load("wamr", "digits", {"epochs": epochs, **task})


def study_at(place, problem=None, storage=None, beat=None):
    """Open or begin the study of a folder, and hold its problem.

    Args:
        place: the study's folder.
        problem: what it is about; None for the search of `problem_of`.
        storage, beat: as of `open_storage`.
    """
    opened = optuna.create_study(
        study_name="s",
        storage=open_storage(storage, place, beat=beat),
        direction="maximize",
        load_if_exists=True,
    )
    study = StudyRecord(opened)
    study.begin_study(VERSIONS)
    study.hold("problem", (problem or problem_of()).identity())
    return study


def controller_of(
    study, problem, trials=4, *, pruner="none", sampler="tpe", seed=0, front=False, **options
):
    """Return a controller as a driver has it once it has begun: what a dead one left goes back.

    Args:
        study: record of the study.
        problem: what it is about.
        trials: number of trials that the study shall have.
        pruner, sampler: their names.
        seed: seed of the study.
        front: whether the front of both accuracies is sought.
        options: further fields of `StudyController`.
    """
    controller = StudyController(
        study.study,
        problem,
        pruners.build(pruner, EPOCHS),
        samplers.factory(sampler, seed, problem.space, front=front),
        **{"queue": SampledQueue(study.study, trials), **options},
    )
    controller.requeue_orphans()
    controller.enqueue_default(problem.default(), problem.moved())
    return controller


def controller_at(place, trials=4, **options):
    """Return a controller of the study in a folder; arguments as of `controller_of`."""
    problem = problem_of()
    return controller_of(study_at(place, problem), problem, trials, **options)


def finish(controller, request, robust=0.5, **more):
    """Report the epochs of a trial that are left, until it ends; return how it did."""
    for epoch in range(request.resume_epoch + 1, EPOCHS + 1):
        outcome = settle(controller, request.number, epoch_result(epoch, robust, **more))
        if outcome is not None:
            return outcome
    raise AssertionError("a trial ends with its last epoch")


def params_of(controller, request):
    """Return the parameters with which a trial was handed out."""
    return controller.record.trial(request.number).params


class Killed(BaseException):
    """What ends a driver at once, whatever it would catch."""


@contextlib.contextmanager
def kill_at_write(number):
    """Kill the driver in place of its write `number` to a journal, counted from 0.

    Yields:
        a list that grows by an entry for each write that was done.
    """
    write, done = JournalStorage._write_log, []

    def counted(storage, *arguments):
        if len(done) == number:
            raise Killed
        done.append(None)
        write(storage, *arguments)

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
        patch.setattr(JournalStorage, "_write_log", counted)
        yield done
