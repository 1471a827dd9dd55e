"""List the studies of a folder, show one that runs elsewhere or is over, and put studies away."""

import os
import sys

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from pipeline.base import early

early.begin()  # before what follows, which takes half a second

import argparse
import json
import time
from collections.abc import Sequence

from pipeline.base import installed

installed.prove(__file__)

from pipeline.base import cli, paths
from pipeline.study.records import EmptyStudyError
from pipeline.study.storage import holder
from pipeline.study.studies import OpenStudy, Studies
from pipeline.study.watched import Watched
from pipeline.views import study_list, study_page
from pipeline.views.layout import page_width, plus_minus
from pipeline.views.study_list import summary_of
from pipeline.views.summary import RUNNING
from regmix.errors import InputError, masked
from regmix.user_files import absolute

_EVERY = 1.0  # seconds between two looks at a study that is followed
_MEANINGS = {
    "--study": "show this study (default: list all)",
    "--archive": "write --study and its race into this new file, NAME.zip",
    "--restore": "put the study of such a file into --runs",
    "--delete": "delete this study and its race, in MLflow too; exported files stay",
    "--runs": "folder of studies (default: mlruns)",
    "--storage": "database URL or journal with more studies",
    "--tracking-uri": "MLflow's database or server (default: a SQLite file in --runs)",
}
_FLAGS = {
    "--follow": "show what changes until it is over; Ctrl-C leaves it running",
    "--json": "one JSON document instead of a page",
    "--yes": "delete without asking",
}


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("status.py", __doc__)
    result.add_values(_MEANINGS)
    result.add_argument(
        "--rename", nargs=2, metavar=("OLD", "NEW"), help="give a study and its race another name"
    )
    for option, meaning in _FLAGS.items():
        result.add_argument(option, action="store_true", help=meaning)
    result.set_defaults(runs=paths.RUNS)
    return result


def main(argv: Sequence[str]) -> int:
    """Return 0 when it is shown or done, 130 when interrupted."""
    args = parser().parse_args(argv)
    _check(args)
    studies = Studies.checked(absolute(args.runs, "--runs"), args.storage)
    if args.delete or args.rename or args.restore or args.archive:
        _do(studies, args)
    elif args.follow:
        _follow(studies, args.study)
    elif args.study:
        _show(studies, args.study, as_json=args.json)
    else:
        _list(studies, as_json=args.json)
    return 0


def _do(studies: Studies, args: argparse.Namespace) -> None:
    """Do what changes studies."""
    from pipeline.driver.shelf import Shelf  # who only looks need not wait for what it imports

    shelf = Shelf(studies, args.tracking_uri)
    if args.delete:
        _confirm(args)
        shelf.delete(args.delete)
    elif args.rename:
        shelf.rename(*args.rename)
    elif args.restore:
        shelf.restore(args.restore)
    else:
        shelf.pack(args.study, args.archive)


def _check(args: argparse.Namespace) -> None:
    """Raise InputError for options that say nothing together."""
    deeds = ("--delete", "--rename", "--restore", "--archive", "--follow", "--json")
    given = [one for one in deeds if getattr(args, one.strip("-"))]
    if len(given) > 1:
        raise InputError(f"command line: {given[0]} and {given[1]} are two deeds; give one")
    if args.study is None and given and given[0] in ("--archive", "--follow"):
        raise InputError(f"command line: {given[0]} needs --study NAME")
    if args.study is not None and given and given[0] in ("--delete", "--rename", "--restore"):
        raise InputError(f"command line: {given[0]} names its study itself; leave out --study")
    if args.yes and not args.delete:
        raise InputError("command line: --yes goes with --delete; leave it out")


def _confirm(args: argparse.Namespace) -> None:
    """Ask for the study's name before it is deleted, as nothing brings it back.

    Raises:
        InputError: where it is not typed, or nobody can be asked.
    """
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise InputError(f"--delete {args.delete}: can't ask without a terminal; add --yes")
    print(f"{args.delete}, its race and their weights can't be brought back. Its name, to delete:")
    if sys.stdin.readline().strip() != args.delete:
        raise InputError(f"--delete {args.delete}: another name was typed; nothing is deleted")


def _list(studies: Studies, *, as_json: bool) -> None:
    found = study_list.entries(studies)
    if as_json:
        print(json.dumps({"studies": [entry.document() for entry in found]}, indent=2))
        return
    where = str(studies.runs) + (f" and {masked(studies.storage)}" if studies.storage else "")
    print("\n".join(study_list.page(found, where, page_width())))


def _show(studies: Studies, name: str, *, as_json: bool) -> None:
    opened = studies.open(name)
    summary, changed, size = summary_of(opened), opened.changed, studies.size(name)
    if as_json:
        more = {"changed": study_list.stamp(changed), "bytes": size}
        print(json.dumps({**summary.document(), **more}, indent=2))
        return
    print("\n".join(study_page.page(summary, changed, size, page_width(), plus_minus())))


def _follow(studies: Studies, name: str) -> None:
    """Show a study until no driver runs it any more."""
    watched = Watched(studies, name)
    summary = summary_of(_begun(watched))
    with study_page.Following() as view:
        view.show(summary)
        while summary.state == RUNNING:
            time.sleep(_EVERY)
            opened = watched.look()
            if opened is not None:
                summary = summary_of(opened)
                view.show(summary)
    view.end(summary)


def _begun(watched: Watched) -> OpenStudy:
    """Return a study; of one whose driver is still about to make it, wait until it is there.

    Raises:
        InputError: where there is none, or its driver ended before it was made.
    """
    place, said = watched.studies.place(watched.name), False
    while True:
        held = holder(place)  # asked first: who lets go of it has made it by then, or removed it
        try:
            opened = watched.look()
        except EmptyStudyError:
            if not held:
                raise
        else:
            assert opened is not None, "a first look sees everything"
            return opened
        if not said:
            print(f"{watched.name}: begins just now; waiting until it has begun", flush=True)
        said = True
        time.sleep(_EVERY)


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("status", main)


if __name__ == "__main__":
    sys.exit(run())
