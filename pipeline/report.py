"""Write what a search, or several, have found as one HTML file that needs no network."""

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
from pipeline.driver.report import ReportRequest, run_report
from pipeline.study.studies import Studies
from regmix.errors import InputError
from regmix.user_files import absolute

_MEANINGS = {
    "--runs": "folder of studies (default: mlruns)",
    "--storage": "database URL or journal of the studies, if not in --runs",
    "--out": "file to write (default: report.html in the study's folder)",
    "--exported": "folder of exported configurations, for their evaluations (default: exported)",
}


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("report.py", __doc__)
    result.add_argument(
        "--study",
        required=True,
        action="append",
        help="name of the study; several are shown side by side",
    )
    result.add_values(_MEANINGS)
    result.set_defaults(runs=paths.RUNS, exported="exported")
    return result


def main(argv: Sequence[str]) -> int:
    """Return the exit status: 0 where the file is written; a mistake in what was typed is 2.

    Raises:
        InputError: for the first thing that is wrong.
    """
    args = parser().parse_args(argv)
    names = tuple(dict.fromkeys(args.study))
    if len(names) < len(args.study):
        raise InputError("command line: --study names one study twice; name each once")
    out = None if args.out is None else absolute(args.out, "--out")
    if out is not None and out.is_dir():
        raise InputError(f"--out {args.out}: must be a file, but is a folder; name a file in it")
    studies = Studies.checked(absolute(args.runs, "--runs"), args.storage)
    exported = absolute(args.exported, "--exported")
    return run_report(ReportRequest(studies, names, out, exported))


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("report", main)


if __name__ == "__main__":
    sys.exit(run())
