"""A study with its controller and without Ray: a real Optuna study in a real journal."""

import optuna

from pipeline import pruners
from pipeline.problem.problem import SearchProblem
from pipeline.study.controller import StudyController
from pipeline.study.storage import open_storage
from regmix.evaluation.results import FinalEvaluation, Masking
from regmix.training.metrics import EpochMetrics

MACHINE = {"device": "cpu", "threads": 1}


def metrics(epoch, robust, seconds=1.0, judged=None, last=4, clean=0.9, **more):
    values = dict.fromkeys(EpochMetrics.__dataclass_fields__, 0.5)
    found = {name: 0.0 for name in Masking.__dataclass_fields__}
    ended = FinalEvaluation(
        round(1000 * (robust if judged is None else judged)), 1000, Masking(**found)
    )
    told = {"epoch": epoch, "co_detected": False, "valid_robust": robust, "seconds": seconds}
    told |= {"valid_clean": clean, "final": ended if epoch == last else None, **more}
    return EpochMetrics(**{**values, **told})


def study_at(place):
    storage = open_storage(None, place)
    try:
        return optuna.load_study(study_name="s", storage=storage)
    except KeyError:
        return optuna.create_study(study_name="s", storage=storage, direction="maximize")


def bridge_at(place, trials=4, **options):
    question = SearchProblem.load("wamr", "digits", {"epochs": 4, "data": "digits"})
    options = {"pruner": pruners.build("none", 4), "sampler": "tpe", "seed": 0, **options}
    bridge = StudyController(study_at(place), question, trials=trials, **options)
    bridge.recover()
    bridge.begin()
    return bridge


def finish(bridge, request, value=0.5):
    for epoch in range(request.reported + 1, 5):
        ending = bridge.report(request.number, metrics(epoch, value), MACHINE)
    bridge.tell(request.number, ending)
