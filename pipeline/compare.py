"""Compare training methods that were searched with equal effort, by fresh seeds and test data."""

import os
import sys

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from pipeline.base import early

early.begin()  # before what follows, which takes half a second

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.base import installed

installed.prove(__file__)

from pipeline.base import cli, document, paths
from pipeline.base.commands import given
from pipeline.base.early import INTERRUPTED
from pipeline.base.narration import quiet
from pipeline.driver.compare import ComparisonRequest, run_comparison
from pipeline.driver.request import choose_recipe
from pipeline.problem.plugin_folder import load_plugins
from pipeline.problem.problem import SPACES, find_space
from regmix.errors import InputError
from regmix.ranges import Count

_MEANINGS = {
    "--name": "name of the comparison, before that of each study (default: compare-RECIPE)",
    "--recipe": "the task of all searches (default: cifar10 on CUDA, or digits)",
    "--trainings": "effort of each search, in full trainings (default: the recipe's)",
    "--budget": "time for each search, such as 90s, 30m or 2h (default: no limit)",
    "--seed": "seed of each sampler and of every trial (default: 0)",
    "--top": "number of each search's best that race, beside its start (default: 2)",
    "--seeds": "number of fresh seeds that each is trained with (default: 3)",
    "--data-dir": "where the images are (default: as in the recipe)",
    "--plugins": "folder of plug-ins that the searches use (default: none)",
    "--runs": "folder of studies (default: mlruns)",
    "--out": "folder of the confirmed configurations and their judgements (default: exported)",
    "--address": "an existing Ray cluster, or auto (default: start Ray on this machine)",
    "--concurrency": "trials at once (default: what cores or GPU shares allow)",
    "--gpus-per-trial": "share of a GPU, such as 0.25, or auto (default: 1 with a GPU, else 0)",
}
_OF_SEARCH = ("name", "recipe", "trainings", "budget", "seed", "set")
_OF_RACE = ("--top", "--seeds")


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("compare.py", __doc__)
    result.add_argument(
        "--spaces", nargs="+", default=[], metavar="SPACE", help="spaces to search, two or more"
    )
    result.add_argument(
        "--studies", nargs="+", default=[], metavar="STUDY", help="studies that are there already"
    )
    result.add_values(_MEANINGS)
    result.expect("--spaces", (path.stem for path in SPACES.glob("*.yaml")))
    result.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="any value of the recipe, such as epochs=20 width=32",
    )
    cli.add_json(result)
    cli.add_quiet(result)
    result.set_defaults(top=2, seeds=3, runs=paths.RUNS, out="exported")
    return result


def read(args: argparse.Namespace) -> ComparisonRequest:
    """Check what this command itself decides by, and return what it asks for.

    What is passed on is checked by the command that it is passed on to, in its own words.

    Raises:
        InputError: for the first thing that is wrong.
    """
    _check_methods(args)
    load_plugins(args.plugins)
    spaces = tuple(find_space(space) for space in args.spaces)
    recipe = args.recipe or (choose_recipe()[0] if spaces else "")
    searching = {
        "--recipe": recipe,
        "--trainings": cli.number("--trainings", args.trainings, Count | None),
        "--budget": args.budget,
        "--seed": args.seed,
    }
    racing = {name: cli.number(name, getattr(args, name[2:]), Count) for name in _OF_RACE}
    judging = {"--data-dir": args.data_dir, "--plugins": args.plugins}
    running = {
        "--runs": args.runs,
        "--address": args.address,
        "--concurrency": args.concurrency,
        "--gpus-per-trial": args.gpus_per_trial,
    }
    return ComparisonRequest(
        name=args.name or f"compare-{Path(recipe).stem}",
        spaces=spaces,
        studies=tuple(args.studies),
        runs=paths.writable_folder(args.runs, "--runs"),
        out=paths.writable_folder(args.out, "--out"),
        search_words=(*given(searching), *(["--set", *args.set] if args.set else [])),
        race_words=tuple(given(racing)),
        words=tuple(given({**running, **judging})),
        judge_words=tuple(given(judging)),
    )


def _check_methods(args: argparse.Namespace) -> None:
    """Raise InputError where there is nothing to compare, or an option has no effect."""
    methods = args.spaces or args.studies
    if bool(args.spaces) == bool(args.studies) or len({*methods}) < max(2, len(methods)):
        raise InputError(
            f"{cli.PLACE}: name two or more different --spaces, which are searched, or --studies"
        )
    for name in _OF_SEARCH:
        if args.studies and getattr(args, name):
            raise InputError(
                f"{cli.PLACE}: --{name} is for searches, but --studies are there; leave it out"
            )


def main(argv: Sequence[str]) -> int:
    """Return the exit status.

    Returns:
        0 when the methods are compared; 1 when one of them has no answer; 130 when interrupted. A
        mistake in what was typed, and methods that were measured otherwise, are 2.
    """
    args = parser().parse_args(argv)
    with quiet(args.quiet), document.alone(wanted=args.json) as output:
        status, content = run_comparison(read(args))
        if args.json and status != 2:
            state = {0: "done", INTERRUPTED: "interrupted"}.get(status, "failed")
            document.write(output, "compare", {"exit_status": status, "state": state, **content})
    return status


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("compare", main)


if __name__ == "__main__":
    sys.exit(run())
