"""Train an exported configuration again: with its own seed to the same metrics, or with others."""

import os
import sys

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from pipeline.base import early

early.begin()  # before what follows, which takes half a second

import argparse
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.base import installed

installed.prove(__file__)

from pipeline.base import cli, document, paths
from pipeline.driver.documents import files_written
from pipeline.driver.replay import compare, prove, replay, told
from pipeline.problem.exported import load_split, with_data_dir
from pipeline.problem.plugin_folder import load_plugins
from regmix.errors import InputError
from regmix.exported.file import Exported
from regmix.ranges import Seed


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("train.py", __doc__)
    result.add_argument("file", metavar="FILE", help="a YAML file that export.py wrote")
    result.add_argument(
        "--seeds",
        nargs="+",
        metavar="SEED",
        help="seeds to train with, one or more (default: the file's own)",
    )
    result.add_argument("--data-dir", help="where the images are, if not where the file says")
    result.add_argument("--out", help="folder for weights and files (default: beside FILE)")
    result.add_argument("--plugins", help="folder of the plug-ins that the search used")
    cli.add_json(result)
    return result


def main(argv: Sequence[str]) -> int:
    """Return 0, or 1 where the file's own numbers should have come out and did not."""
    args = parser().parse_args(argv)
    with document.alone(wanted=args.json) as output:
        content = _train(args)
        if args.json:
            document.write(output, "train", content)
    return 1 if content["same"] is False else 0


def _train(args: argparse.Namespace) -> dict[str, Any]:
    """Train with each seed, and return what came out."""
    path = Path(args.file)
    exported = Exported.read(path, load_plugins(args.plugins))
    exported = with_data_dir(exported, args.data_dir)
    seeds = [cli.number("--seeds", seed, Seed) for seed in args.seeds or ()]
    if len(set(seeds)) < len(seeds):
        twice = next(seed for seed in seeds if seeds.count(seed) > 1)
        raise InputError(
            f"command line: --seeds names {twice} twice, which would be one result counted as two; "
            "leave one"
        )
    out = paths.writable_folder(args.out or path.parent, "--out")
    data = load_split(exported, path)
    prove(exported, data)
    runs, same = list[dict[str, Any]](), None
    for seed in seeds or [exported.config.seed]:
        config, file = replace(exported.config, seed=seed), out / f"{path.stem}-seed{seed}.yaml"
        again = replay(replace(exported, config=config), data, file)
        runs.append({"seed": seed, **told(again), **files_written(file)})
        if config.seed == exported.config.seed:
            same = compare(exported, again)
    values = [one["final_robust"] for one in runs]
    mean = statistics.mean(values)
    spread = statistics.stdev(values) if len(values) > 1 else None
    if spread is not None:
        print(f"final_robust over {len(values)} seeds: mean {mean:.4f}, sd {spread:.4f}")
    return {"file": str(path), "runs": runs, "mean": mean, "sd": spread, "same": same}


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("train", main)


if __name__ == "__main__":
    sys.exit(run())
