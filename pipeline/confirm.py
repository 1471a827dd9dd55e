"""Train a study's best configurations again with fresh seeds, and say which one is best."""

import os
import sys

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from pipeline.base import early

early.begin()  # before what follows, which takes half a second

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Annotated

from pipeline.base import installed

installed.prove(__file__)

from pipeline.base import cli, document, paths
from pipeline.base.narration import quiet
from pipeline.driver.confirm import ConfirmRequest, after_race, run_race
from pipeline.driver.documents import Told
from pipeline.driver.publish import View
from pipeline.driver.race import MOST_SEEDS, RaceRequest
from pipeline.driver.request import prove_card
from pipeline.problem.plugin_folder import load_plugins
from pipeline.study.storage import find_study
from regmix.ranges import Bounds, Count
from regmix.user_files import absolute

_Seeds = Annotated[int, Bounds(low=1, high=MOST_SEEDS)]
_MEANINGS = {
    "--top": "number of best trials that race, beside trial 0 (default: 5)",
    "--seeds": "number of fresh seeds that each is trained with (default: 3)",
    "--runs": "folder of studies (default: mlruns)",
    "--storage": "the study's database URL or journal, if not in --runs",
    "--tracking-uri": "MLflow's database or server (default: a SQLite file in --runs)",
    "--address": "an existing Ray cluster, or auto (default: start Ray on this machine)",
    "--concurrency": "trainings at once (default: what cores or GPU shares allow)",
    "--gpus-per-trial": "share of a GPU, such as 0.25, or auto (default: 1 with a GPU, else 0)",
    "--data-dir": "where the images are, if not where the search found them",
    "--plugins": "folder of the plug-ins that the search used",
    "--out": "folder for the confirmed configuration (default: exported)",
}


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("confirm.py", __doc__)
    result.add_argument("--study", required=True, help="name of the study, such as wamr-digits")
    result.add_values(_MEANINGS)
    result.add_argument(
        "--retry-failed",
        action="store_true",
        help="try the failed trainings of earlier sessions again, once their cause is mended",
    )
    cli.add_json(result)
    cli.add_quiet(result)
    result.set_defaults(top=5, seeds=3, runs=paths.RUNS, out="exported")
    return result


def read(args: argparse.Namespace) -> ConfirmRequest:
    """Check what was typed, and return what it asks for.

    Raises:
        InputError: for the first thing that is wrong.
    """
    top, seeds = cli.number("--top", args.top, Count), cli.number("--seeds", args.seeds, _Seeds)
    concurrency = cli.number("--concurrency", args.concurrency, Count | None)
    gpus_per_trial = cli.gpu_share(args.gpus_per_trial)
    prove_card(gpus_per_trial, args.address)
    runs = absolute(args.runs, "--runs")
    find_study(args.study, args.storage, runs / "studies" / args.study)
    view = View.checked(args.runs, args.storage, args.tracking_uri, new=False)
    race = RaceRequest(
        command="confirm",
        study=args.study,
        seeds=seeds,
        runs=view.runs,
        out=paths.writable_folder(args.out, "--out"),
        storage=view.storage,
        tracking_uri=view.uri,
        data_dir=args.data_dir,
        plugins=load_plugins(args.plugins),
        retry_failed=args.retry_failed,
    )
    return ConfirmRequest(race, top, args.address, concurrency, gpus_per_trial)


def main(argv: Sequence[str]) -> int:
    """Return the exit status.

    Returns:
        0 when the race has a winner, 1 when no training ended well, 130 when interrupted. A
        mistake in what was typed is 2, see `pipeline.base.cli.run`.
    """
    args = parser().parse_args(argv)
    with quiet(args.quiet), document.alone(wanted=args.json) as output:
        request = read(args)
        if not args.json:
            return run_race(request)
        race = request.race
        told = Told("confirm", race.view, race.study, race.out)
        return told.run(partial(run_race, request), partial(after_race, race), output)


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("confirm", main)


if __name__ == "__main__":
    sys.exit(run())
