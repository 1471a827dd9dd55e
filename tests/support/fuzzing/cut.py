"""Where an accepted input stops: everything before it is the command's own.

search, confirm   the study is made and its first trials are asked for; Ray is not started, and the
                  rehearsal is forked from this process, which has loaded torch
train             where the first epoch would begin
evaluate          the weights are loaded; the attacks would begin
--sync            where MLflow would be opened
ui                where MLflow's server would start
export            at its end
"""

import json
import os
import signal
import subprocess
import sys
import traceback
from types import SimpleNamespace

import ray

from pipeline import search as search_command
from pipeline import train as train_command
from pipeline import ui as ui_command
from pipeline.driver import evaluation, race, session
from pipeline.driver.publish import View
from pipeline.execution import rehearsing
from pipeline.study.controller import StudyController
from regmix.config import TrainConfig
from regmix.training import rehearsal

DRAWS = 20
ASKED = 3


class _Rehearsing:
    """What `subprocess.Popen` is for the rehearsal: its `main` in a forked process."""

    def __init__(self, words, *, stdin, stderr, **_):
        assert words[-1] == rehearsal.__name__
        self.pid, self.status = os.fork(), None
        if not self.pid:
            status = 1
            try:
                os.dup2(stderr.fileno(), 2)
                sys.stdin, sys.stderr = open(stdin.fileno()), open(2, "w")  # noqa: SIM115
                status = rehearsal.main()
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)

    def wait(self):
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status

    def kill(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)


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

    def asked(*words):
        controller = next(word for word in words if isinstance(word, StudyController))
        for _ in range(ASKED):
            controller.ask()
        raise Reached

    processes = SimpleNamespace(Popen=_Rehearsing, DEVNULL=subprocess.DEVNULL)
    instead = [
        (rehearsing, "subprocess", processes),
        (View, "tracker", _reached), (train_command, "replay", _reached),
        (ui_command, "_start", _reached), (session, "run", asked), (race, "execute", asked),
        (ray, "init", lambda **_: None), (ray, "shutdown", lambda: None),
        (ray, "nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}]),
    ]  # fmt: skip
    for place, name, function in instead:
        setattr(place, name, function)
    search_command.read = noted
    evaluation._load_model = loaded


def _reached(*_, **__):
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
