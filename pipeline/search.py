"""Find the configurations of a search space that are hardest to fool."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from pipeline import pruners, samplers
from pipeline.base import cli, paths
from pipeline.driver.publish import sync
from pipeline.driver.request import Request
from pipeline.driver.rules import OBJECTIVES, Rules
from pipeline.driver.study import run_study
from pipeline.problem.problem import RECIPES, SPACES, SearchProblem
from pipeline.tracking.uri import check_uri
from regmix.errors import InputError, unknown
from regmix.ranges import Count, Natural, Positive, Seed, UnitInterval

PRUNER, PROBES, WIDTH, SECONDS = "collapse+halving", 12, 4, 60


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("search.py", __doc__)
    for option, meaning in _options().items():
        result.add_argument(option, help=meaning)
    result.set_defaults(space="wamr", seed=0, sampler="bohb", pruner=PRUNER, runs=paths.RUNS)
    result.set_defaults(probes=PROBES, objective="robust", heartbeat=f"{SECONDS}s")
    result.add_argument(
        "--enqueue",
        nargs="+",
        default=[],
        metavar="FILE",
        help="begin with exported configurations",
    )
    result.add_argument(
        "--deterministic",
        nargs="?",
        const=WIDTH,
        metavar="N",
        help="the same study each time, whatever the concurrency: results count in the order of a "
        f"machine with N equal workers (default: {WIDTH})",
    )
    result.add_argument(
        "--sync", action="store_true", help="train nothing; bring MLflow up to date with --study"
    )
    result.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="any value of the recipe, such as epochs=20 width=32 eval_epsilon=4/255",
    )
    return result


def _options() -> dict[str, str]:
    """Return what each option with one value means."""
    spaces = ", ".join(sorted(path.stem for path in SPACES.glob("*.yaml")))
    recipes = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
    return {
        "--space": f"the question: {spaces}, or a YAML file (default: wamr)",
        "--recipe": f"the task: {recipes}, or a YAML file (default: cifar10 on CUDA, or digits)",
        "--trials": "how many trials the study shall have in all (default: the recipe's)",
        "--budget": "time for the whole study, such as 90s, 30m or 2h (default: no limit)",
        "--seed": "of the sampler and of every trial (default: 0)",
        "--study": "the study's name (default: SPACE-RECIPE)",
        "--concurrency": "trials at once (default: what cores or GPU shares allow)",
        "--gpus-per-trial": "share of a GPU, such as 0.25 (default: 1 with a GPU, else 0)",
        "--sampler": f"{', '.join(samplers.names())} (default: bohb)",
        "--pruner": f"{', '.join(pruners.names())}; A+B puts A round B (default: {PRUNER})",
        "--probes": "let one trial in so many run unpruned, to see the rule's mistakes; 0 for none "
        f"(default: {PROBES})",
        "--objective": f"{' or '.join(OBJECTIVES)}, the front of both (default: robust)",
        "--min-clean": "clean accuracy that a candidate must have, such as 0.8 (default: any)",
        "--storage": "the study's database URL or journal file (default: a journal in --runs)",
        "--checkpoints": "s3://bucket/folder or another object store, for machines that share no "
        "folder (default: in --runs)",
        "--heartbeat": "of a driver that shares a database; three missed mean that it is dead "
        f"(default: {SECONDS}s)",
        "--tracking-uri": "MLflow's database or server (default: a SQLite file in --runs)",
        "--data-dir": "where the images are: train/ and test/ class folders, or CIFAR's archive",
        "--address": "an existing Ray cluster, or auto (default: start Ray on this machine)",
        "--runs": "folder for studies, databases and artifacts (default: mlruns)",
    }


def read(args: argparse.Namespace) -> Request:
    """Check everything that was typed, and return what it asks for.

    Raises:
        InputError: for the first thing that is wrong.
    """
    if args.sampler not in samplers.names():
        raise unknown("command line", "sampler", args.sampler, samplers.names())
    pruners.build(args.pruner, epochs=1)
    numbers = {
        name: cli.number(f"--{name.replace('_', '-')}", getattr(args, name), rule)
        for name, rule in (
            ("trials", Count),
            ("seed", Seed),
            ("concurrency", Count),
            ("gpus_per_trial", Positive),
            ("probes", Natural),
        )
    }
    budget = None if args.budget is None else cli.seconds("--budget", args.budget)
    question = SearchProblem.load(
        args.space, args.recipe or _choose_recipe(), cli.overrides(args.set)
    )
    question = _with_data(question.with_seed(numbers["seed"]), args.data_dir)
    runs = paths.writable_folder(Path(args.runs), "--runs")
    uri = args.tracking_uri or f"sqlite:///{runs / 'mlflow.db'}"
    check_uri(uri)
    return Request(
        question=question,
        study=args.study or f"{question.space.name}-{question.recipe.name}",
        runs=runs,
        budget=budget,
        heartbeat=max(1, round(cli.seconds("--heartbeat", args.heartbeat))),
        sampler=args.sampler,
        pruner=args.pruner,
        rules=_rules(args),
        enqueue=tuple(Path(file).resolve() for file in args.enqueue),
        storage=args.storage,
        checkpoints=_checkpoints(args.checkpoints),
        tracking_uri=uri,
        address=args.address,
        **numbers,
    )


def _checkpoints(url: str | None) -> str | None:
    if url is None:
        return None
    from pipeline.trial_files.object_store import check_url

    return check_url(url)


def _rules(args: argparse.Namespace) -> Rules:
    """Check what the study is to find, and whether it can be the same each time."""
    if args.objective not in OBJECTIVES:
        raise unknown("command line", "objective", args.objective, OBJECTIVES)
    if args.objective != "robust" and args.sampler == "cmaes":
        raise InputError("command line: --sampler cmaes seeks one objective; choose tpe or gp")
    if args.deterministic and args.budget:
        raise InputError(
            "command line: --deterministic can't end by the clock; replace --budget by --trials"
        )
    return Rules(
        args.objective,
        cli.number("--min-clean", args.min_clean, UnitInterval),
        cli.number("--deterministic", args.deterministic, Count),
    )


def _choose_recipe() -> str:
    """Choose by hardware, and say so; torch is only asked where there is a driver for it."""
    found = False
    if Path("/proc/driver/nvidia/version").exists() or Path("/dev/dxg").exists():
        import torch

        found = torch.cuda.is_available()
    recipe, reason = ("cifar10", "CUDA is") if found else ("digits", "no CUDA device is")
    print(
        f"recipe {recipe}, since {reason} available here; choose another by --recipe",
        flush=True,
    )
    return recipe


def _with_data(question: SearchProblem, data_dir: str | None) -> SearchProblem:
    """Put the folder of the images into the configuration, as an absolute path."""
    data = question.config({}).data
    if "data_dir" not in data.options:
        if data_dir is not None:
            raise InputError(f"--data-dir: the data set {data.name!r} needs none; leave it out")
        return question
    if data_dir is None:
        given = str(data.options["data_dir"])
        path = Path(given) if given else paths.writable_folder(paths.ROOT / "data", "--data-dir")
    else:
        path = Path(data_dir)
    return replace(question, by_hand={**question.by_hand, "data_dir": str(path.resolve())})


def main(argv: Sequence[str]) -> int:
    """Return 0 when the study is complete, 1 when its trials fail, 130 when interrupted."""
    args = parser().parse_args(argv)
    if args.sync:
        return sync(args.study, args.storage, Path(args.runs), args.tracking_uri)
    return run_study(read(args))


if __name__ == "__main__":
    sys.exit(cli.run("search", main))
