"""Where an accepted input stops: everything before it is the command's own.

search, confirm   where Ray would start: all that can be refused is proved by then
train             where the first epoch would begin
evaluate          where the weights are loaded, and the attacks would begin
ui                where MLflow's server would start
export            at its end
--sync            where MLflow would be opened
"""

import json

import optuna
import ray

from pipeline import samplers
from pipeline import search as search_command
from pipeline import train as train_command
from pipeline import ui as ui_command
from pipeline.driver import evaluation
from pipeline.driver.publish import View
from regmix.config import TrainConfig

DRAWS = 20


class Reached(BaseException):
    """The command accepted its input."""


def install():
    """Let every command of this process stop where its work would begin."""
    read, load = search_command.read, evaluation._load_model
    asked = []

    def noted(args):
        asked.append(read(args))
        return asked[-1]

    def loaded(*arguments):
        load(*arguments)
        raise Reached

    def reached(*_, **__):
        for request in asked:
            prove(request)
        raise Reached

    places = [(ray, "init"), (View, "tracker"), (train_command, "replay"), (ui_command, "_start")]
    for place, name in places:
        setattr(place, name, reached)
    search_command.read = noted
    evaluation._load_model = loaded


def prove(request):
    """Draw from an accepted space: every configuration of it must be accepted too."""
    problem = request.problem
    for identity in (problem.identity(), request.rules.identity()):
        json.dumps(identity)
    shares = [0.0, 1.0, *(draw / DRAWS for draw in range(1, DRAWS))]
    ranges = problem.space.ranges
    points = [{name: range_.at(share) for name, range_ in ranges.items()} for share in shares]
    for params in [problem.default(), *points]:
        config = problem.config(params)
        assert TrainConfig.from_flat(config.flat()) == config, "it is read as it was written"
        assert all(config.flat()[name] == value for name, value in params.items())
        for name, range_ in ranges.items():
            assert range_.nearest(params[name]) == params[name], f"{name} lies in its range"
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    sampler = samplers.factory(request.sampler, request.seed, problem.space)
    study.enqueue_trial(problem.default())
    for number in range(3):
        study.sampler = sampler(number)
        trial = study.ask()
        problem.config(problem.space.suggest(trial))
        study.tell(trial, 0.1 * number)
