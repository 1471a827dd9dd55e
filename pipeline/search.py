"""Find the configurations of a search space that are hardest to fool."""

import os
import sys

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from pipeline.base import early

early.begin()  # before what follows, which takes half a second

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipeline.base import installed

installed.prove(__file__)

from pipeline import pruners, samplers
from pipeline.base import cli, document, paths
from pipeline.base.narration import quiet
from pipeline.driver.documents import Told
from pipeline.driver.finals import after_search
from pipeline.driver.plan import say_lines
from pipeline.driver.publish import View, sync
from pipeline.driver.request import (
    OBJECTIVES,
    Rules,
    SearchRequest,
    choose_recipe,
    prove_card,
    with_data_dir,
)
from pipeline.driver.study import run_study
from pipeline.problem.plugin_folder import load_plugins
from pipeline.problem.problem import RECIPES, SPACES, SearchProblem
from pipeline.samplers.grid import grid_of
from pipeline.trial_files.object_store import check_url
from regmix.errors import InputError, unknown
from regmix.ranges import Count, Natural, Seed, UnitInterval
from regmix.user_files import absolute

SAMPLER, PRUNER = "freeze", "collapse+freeze"
CONTROL_EVERY, LOCKSTEP = 12, 4
BEAT, CHECKPOINT = "60s", "60s"


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("search.py", __doc__)
    result.add_values(_meanings())
    result.expect("--recipe", _names(RECIPES))
    result.expect("--space", _names(SPACES))
    result.set_defaults(space="wamr", seed=0, sampler=SAMPLER, pruner=PRUNER, runs=paths.RUNS)
    result.set_defaults(objective="robust", heartbeat=BEAT, checkpoint_every=CHECKPOINT)
    result.set_defaults(out="exported")
    result.add_argument(
        "--control-every",
        default=CONTROL_EVERY,
        metavar="N",
        help="never stop one trial in N by rank, to see what pruning may cost; 0 for none "
        f"(default: {CONTROL_EVERY})",
    )
    result.add_argument(
        "--enqueue",
        nargs="+",
        default=[],
        metavar="FILE",
        help="begin with exported configurations",
    )
    result.add_argument(
        "--from",
        dest="sources",
        nargs="+",
        default=[],
        metavar="STUDY",
        help="learn from earlier studies of the same space on other tasks",
    )
    result.add_argument(
        "--deterministic",
        nargs="?",
        const=LOCKSTEP,
        metavar="N",
        help="the same study each time, whatever the concurrency: results count in the order of a "
        f"machine with N equal workers (default: off; without N: {LOCKSTEP})",
    )
    result.add_argument(
        "--retry-failed",
        action="store_true",
        help="try the failed trials of earlier sessions again, once their cause is mended",
    )
    result.add_argument(
        "--no-confirm",
        action="store_true",
        help="let the search have all, and don't race its best against trial 0 with fresh seeds",
    )
    result.add_argument(
        "--until-noise",
        action="store_true",
        help="end where further trials are expected to gain less than the judge can tell",
    )
    result.add_argument(
        "--mps",
        action="store_true",
        help="let trials on a GPU run side by side by NVIDIA's service",
    )
    result.add_argument(
        "--sync", action="store_true", help="train nothing; bring MLflow up to date with --study"
    )
    cli.add_quiet(result)
    result.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="any value of the recipe, such as epochs=20 width=32 eval_epsilon=4/255",
    )
    cli.add_json(result)
    return result


def _names(folder: Path) -> list[str]:
    """Return the names of the spaces or recipes that come with the project."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _meanings() -> dict[str, str]:
    """Return each option with one value and its line in --help."""
    spaces, recipes = ", ".join(_names(SPACES)), ", ".join(_names(RECIPES))
    return {
        "--space": f"what is searched: {spaces}, or a YAML file (default: wamr)",
        "--recipe": f"the task: {recipes}, or a YAML file (default: cifar10 on CUDA, or digits)",
        "--trainings": "effort of the whole study in full trainings, however many trials share it "
        "(default: the recipe's)",
        "--trials": "number of trials of the whole study, at most (default: no limit)",
        "--budget": "time for the whole study, such as 90s, 30m or 2h (default: no limit)",
        "--seed": "seed of the sampler and of every trial (default: 0)",
        "--study": "name of the study (default: SPACE-RECIPE)",
        "--concurrency": "trials at once (default: what cores or GPU shares allow)",
        "--gpus-per-trial": "share of a GPU, such as 0.25, or auto, which measures it "
        "(default: 1 with a GPU, else 0)",
        "--sampler": f"how parameters are chosen: {', '.join(samplers.names())} (default: "
        f"{SAMPLER})",
        "--pruner": f"how trials are stopped early: {', '.join(pruners.names())}; A+B puts A round "
        f"B (default: {PRUNER})",
        "--objective": f"{' or '.join(OBJECTIVES)}, the front of both (default: robust)",
        "--min-clean": "clean accuracy that a candidate must have, such as 0.8 (default: any)",
        "--storage": "the study's database URL or journal file (default: a journal in --runs)",
        "--checkpoints": "s3://bucket/folder or another object store, for machines that share no "
        "folder (default: in --runs)",
        "--checkpoint-every": "how much finished work a kill may take from a trial, such as 2m; 0s "
        f"for none (default: {CHECKPOINT})",
        "--heartbeat": "interval between the beats of a driver that shares a database; three "
        f"missed ones mean that it is dead (default: {BEAT})",
        "--out": "folder for the race's winner (default: exported)",
        "--tracking-uri": "MLflow's database or server (default: a SQLite file in --runs)",
        "--data-dir": "where the images are: train/ and test/ class folders, or CIFAR's archive",
        "--plugins": "folder with losses/, attacks/, models/, data/, pruners/ or samplers/ of "
        "your own (default: none)",
        "--address": "an existing Ray cluster, or auto (default: start Ray on this machine)",
        "--runs": "folder for studies, databases and artifacts (default: mlruns)",
    }


def read(args: argparse.Namespace) -> SearchRequest:
    """Check everything that was typed, and return what it asks for.

    Raises:
        InputError: for the first thing that is wrong.
    """
    plugins = load_plugins(args.plugins)
    samplers.check_name(args.sampler)
    pruners.build(args.pruner, epochs=1)
    seed = cli.number("--seed", args.seed, Seed)
    trainings = cli.number("--trainings", args.trainings, Count | None)
    trials = cli.number("--trials", args.trials, Count | None)
    concurrency = cli.number("--concurrency", args.concurrency, Count | None)
    gpus_per_trial = cli.gpu_share(args.gpus_per_trial)
    prove_card(gpus_per_trial, args.address)
    control_every = cli.number("--control-every", args.control_every, Natural)
    budget = None if args.budget is None else cli.seconds("--budget", args.budget)
    problem = SearchProblem.load(args.space, args.recipe or _recipe(), cli.overrides(args.set))
    problem = with_data_dir(problem.with_seed(seed), args.data_dir)
    if args.sampler == "grid":
        grid_of(problem.space.ranges, seed)  # proves its size
    checkpoints = None if args.checkpoints is None else check_url(args.checkpoints)
    view = View.checked(args.runs, args.storage, args.tracking_uri)
    out = absolute(args.out, "--out")
    if not args.no_confirm:
        out = paths.writable_folder(args.out, "--out")
    return SearchRequest(
        problem=problem,
        study=args.study or f"{problem.space.name}-{problem.recipe.name}",
        runs=view.runs,
        trainings=trainings,
        trials=trials,
        budget=budget,
        seed=seed,
        concurrency=concurrency,
        gpus_per_trial=gpus_per_trial,
        sampler=args.sampler,
        pruner=args.pruner,
        control_every=control_every,
        rules=_rules(args),
        enqueue=tuple(Path(file) for file in args.enqueue),
        sources=tuple(dict.fromkeys(args.sources)),
        storage=view.storage,
        checkpoints=checkpoints,
        checkpoint_seconds=cli.seconds("--checkpoint-every", args.checkpoint_every, zero=True),
        heartbeat=max(1, round(cli.seconds("--heartbeat", args.heartbeat))),
        tracking_uri=view.uri,
        address=args.address,
        plugins=plugins,
        retry_failed=args.retry_failed,
        mps=args.mps,
        until_noise=args.until_noise,
        confirm=not args.no_confirm,
        out=out,
    )


def _rules(args: argparse.Namespace) -> Rules:
    """Check what the study is to find, and whether it can be the same each time."""
    if args.objective not in OBJECTIVES:
        raise unknown("command line", "objective", args.objective, OBJECTIVES)
    if args.objective != "robust" and args.sampler == "cmaes":
        raise InputError("command line: --sampler cmaes seeks one objective; choose tpe or gp")
    if args.deterministic and args.budget:
        raise InputError(
            "command line: --deterministic can't end by the clock; replace --budget by --trainings"
        )
    return Rules(
        args.objective,
        cli.number("--min-clean", args.min_clean, UnitInterval | None),
        cli.number("--deterministic", args.deterministic, Count | None),
    )


def _recipe() -> str:
    recipe, reason = choose_recipe()
    say_lines(f"recipe {recipe}, since {reason} available here; choose another by --recipe")
    return recipe


def main(argv: Sequence[str]) -> int:
    """Return the exit status.

    Returns:
        0 when the study has an answer: a complete trial; 1 when no trial ended well; 130 when
        interrupted. A mistake in what was typed is 2, see `pipeline.base.cli.run`.
    """
    args = parser().parse_args(argv)
    with document.alone(wanted=args.json) as output:
        if args.sync:
            return sync(args.study, args.runs, args.storage, args.tracking_uri)
        with quiet(args.quiet):
            request = read(args)
            if not args.json:
                return run_study(request)
            told = Told("search", request.view, request.study, request.out)
            return told.run(partial(run_study, request), partial(after_search, request), output)


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("search", main)


if __name__ == "__main__":
    sys.exit(run())
