"""Where an accepted input stops: everything before it is the command's own.

search, confirm   the study is made and its first trials are asked for; Ray is not started
train             where the first epoch would begin
evaluate          the weights are loaded; the attacks would begin
--sync            where MLflow would be opened
ui                where MLflow's server would start
export            at its end
"""

import json

import ray

from pipeline import search as search_command
from pipeline import train as train_command
from pipeline import ui as ui_command
from pipeline.driver import evaluation, race, session
from pipeline.driver.publish import View
from regmix.config import TrainConfig

DRAWS = 20
ASKED = 3


class Reached(BaseException):
    """The command accepted its input."""


def install():
    """Let every command of this process stop where its work would begin."""
    read, load = search_command.read, evaluation._load_model

    def noted(args):
        request = read(args)
        prove(request)
        return request

    def loaded(*arguments):
        load(*arguments)
        raise Reached

    stops = [(View, "tracker"), (train_command, "replay"), (ui_command, "_start")]
    for place, name in stops:
        setattr(place, name, _reached)
    for name in ("init", "shutdown"):
        setattr(ray, name, lambda **_: None)
    ray.cluster_resources = lambda: {"CPU": 2.0}
    search_command.read = noted
    evaluation._load_model = loaded
    session.run = lambda _, controller, *more: _ask(controller)  # noqa: ARG005
    race.execute = lambda controller, *more: _ask(controller)  # noqa: ARG005


def _reached(*_, **__):
    raise Reached


def _ask(controller):
    """Ask a study that was just begun, or goes on, for its next trials."""
    for _ in range(ASKED):
        controller.ask()
    raise Reached


def prove(request):
    """Draw from an accepted space: every configuration of it must be accepted too."""
    problem = request.problem
    for identity in (problem.identity(), request.rules.identity()):
        json.dumps(identity)
    ranges = problem.space.ranges
    points = [
        {name: range_.at(draw / DRAWS) for name, range_ in ranges.items()}
        for draw in range(DRAWS + 1)
    ]
    for params in [problem.default(), *points]:
        config = problem.config(params)
        assert TrainConfig.from_flat(config.flat()) == config, "it is read as it was written"
        assert all(config.flat()[name] == value for name, value in params.items())
        for name, range_ in ranges.items():
            assert range_.nearest(params[name]) == params[name], f"{name} lies in its range"
