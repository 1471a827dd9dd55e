"""Write the best configurations of a study as files that train again to the same numbers."""

import os
import sys

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from pipeline.base import early

early.begin()  # before what follows, which takes half a second

from collections.abc import Sequence

from pipeline.base import installed

installed.prove(__file__)

from pipeline.base import cli, paths
from pipeline.base.commands import command, near
from pipeline.driver.export import export
from pipeline.problem.plugin_folder import check_plugins, load_plugins, plugin_words
from pipeline.study.ranking import candidates
from pipeline.study.retention import files_of
from pipeline.study.storage import find_study
from regmix.errors import InputError
from regmix.ranges import Count
from regmix.user_files import absolute

_MEANINGS = {
    "--top": "number of configurations (default: 3)",
    "--out": "folder to write to (default: exported)",
    "--runs": "folder of studies (default: mlruns)",
    "--storage": "the study's database URL or journal, if not in --runs",
    "--plugins": "folder of the plug-ins that the search used",
}


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("export.py", __doc__)
    result.add_argument("--study", required=True, help="name of the study, such as wamr-digits")
    result.add_values(_MEANINGS)
    result.set_defaults(top=3, out="exported", runs=paths.RUNS)
    return result


def main(argv: Sequence[str]) -> int:
    """Return 0 when the files are written."""
    args = parser().parse_args(argv)
    top, plugins = cli.number("--top", args.top, Count), load_plugins(args.plugins)
    place = absolute(args.runs, "--runs") / "studies" / args.study
    study = find_study(args.study, args.storage, place)
    check_plugins(study.plugins, plugins, f"--study {args.study}")
    complete = candidates(study)
    if not complete:
        raise InputError(f"--study {args.study}: no candidate is complete yet; continue the search")
    out = paths.writable_folder(args.out, "--out")
    if len(complete) < top:
        print(f"only {len(complete)} trials of {args.study} are complete")
    for rank, trial in enumerate(complete[:top], start=1):
        path = out / f"{args.study}-{rank}.yaml"
        export(study, trial, files_of(study, place), path, {"rank": rank})
        print(f"{path}: trial {trial.number}, final_robust {trial.final_robust:.3f}")
    first = near(out / f"{args.study}-1.yaml")
    print(f"next: {command('train.py', first, *plugin_words(plugins))}")
    return 0


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("export", main)


if __name__ == "__main__":
    sys.exit(run())
