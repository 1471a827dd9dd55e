"""Evaluate an exported configuration's weights: on test data once, or on validation images."""

import os
import sys

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from pipeline.base import early

early.begin()  # before what follows, which takes half a second

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.base import installed

installed.prove(__file__)

from pipeline.base import cli, document
from pipeline.base.commands import near
from pipeline.base.narration import quiet
from pipeline.driver.evaluation import evaluate_on_test, evaluate_on_validation
from pipeline.problem import judgement
from pipeline.problem.exported import with_data_dir
from pipeline.problem.plugin_folder import load_plugins
from pipeline.views import evaluation_table
from regmix import atomic, yaml_file
from regmix.errors import InputError
from regmix.exported.file import Exported, digest
from regmix.ranges import Count


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("evaluate.py", __doc__)
    result.add_argument("file", metavar="FILE", help="a YAML file that export.py or train.py wrote")
    result.add_argument("--autoattack", action="store_true", help="also run AutoAttack (slow)")
    result.add_argument("--images", help="number of test images (default: all)")
    result.add_argument("--again", action="store_true", help="evaluate although a result exists")
    result.add_argument(
        "--validation",
        action="store_true",
        help="evaluate on the validation images, as a finalist: APGD-CE, APGD-T and Square",
    )
    result.add_argument(
        "--best", action="store_true", help="the weights of the best epoch instead of the last"
    )
    result.add_argument("--data-dir", help="where the images are, if not where the file says")
    cli.add_quiet(result)
    result.add_argument("--plugins", help="folder of the plug-ins that the search used")
    cli.add_json(result)
    return result


def main(argv: Sequence[str]) -> int:
    """Return 0 when the evaluation is printed and, on test data, written beside the file."""
    args = parser().parse_args(argv)
    with document.alone(wanted=args.json) as output:
        content = _evaluate(args)
        if args.json:
            document.write(output, "evaluate", content)
    return 0


def _evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Evaluate the weights, or find that they were, and print that; return it as a document."""
    path = Path(args.file)
    exported = Exported.read(path, load_plugins(args.plugins))
    exported = with_data_dir(exported, args.data_dir)
    count = cli.number("--images", args.images, Count | None)
    weights = exported.best_weights if args.best else exported.weights
    if weights is None:
        raise InputError(f"--best: the last epoch of {path.name} is its best; leave it out")
    if not weights.exists():
        raise InputError(f"{weights}: the weights are missing; export or train again")
    if args.validation:
        if args.autoattack or count:
            raise InputError(
                "--validation: takes neither --autoattack nor --images; leave them out"
            )
        with quiet(args.quiet):
            found = evaluate_on_validation(exported, path, weights)
        evaluation_table.show(path, found)
        return evaluation_table.content(path, found)
    kept = path.with_suffix(".best.judgement.yaml" if args.best else ".judgement.yaml")
    if kept.exists() and not args.again:
        before = judgement.read(kept)
        if before["weights"] == digest(weights):
            other = judgement.unlike(before, count, with_autoattack=args.autoattack)
            print(
                f"evaluated before{other}, see {kept}; test data is used once (--again evaluates "
                "anew)"
            )
            evaluation_table.show(path, before)
            return evaluation_table.content(path, before, kept, before=True)
        print(f"{kept} is of other weights and is replaced: {path.name} was written anew")
    with quiet(args.quiet):
        evaluation = evaluate_on_test(
            exported, path, weights, count, with_autoattack=args.autoattack
        )
    atomic.write(kept, lambda file: file.write_text(yaml_file.dump(evaluation)))
    evaluation_table.show(path, evaluation)
    print(f"wrote {near(kept)}")
    return evaluation_table.content(path, evaluation, kept)


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("evaluate", main)


if __name__ == "__main__":
    sys.exit(run())
