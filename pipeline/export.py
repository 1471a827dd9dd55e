"""Write the best configurations of a study as files that train again to the same numbers."""

import os
import sys

if not __package__:  # a script puts pipeline/ first on the path; put the root there
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from pipeline.base import early

early.begin()  # before what follows, which takes half a second

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.base import installed

installed.prove(__file__)

from pipeline.base import cli, document, paths
from pipeline.base.commands import command, near
from pipeline.driver import take_away
from pipeline.driver.documents import files_written
from pipeline.driver.export import export
from pipeline.problem.plugin_folder import check_plugins, load_plugins, plugin_words
from pipeline.race.result import race_result
from pipeline.study.ranking import distinct_candidates
from pipeline.study.retention import files_of
from pipeline.study.storage import find_study
from pipeline.study.studies import Studies
from regmix.errors import InputError, unknown
from regmix.exported.file import Exported
from regmix.plugins import Plugins
from regmix.ranges import Count
from regmix.user_files import absolute

FORMS = ("yaml", *take_away.FORMS)

_MEANINGS = {
    "--study": "name of the study, such as wamr-digits",
    "--file": "an exported YAML file to be written in other forms, in place of --study",
    "--format": f"forms to write, some of {','.join(FORMS)} (default: yaml)",
    "--top": "number of configurations of the study (default: 3)",
    "--out": "folder to write to (default: exported; with --file beside it)",
    "--runs": "folder of studies (default: mlruns)",
    "--storage": "the study's database URL or journal, if not in --runs",
    "--plugins": "folder of the plug-ins that the search used",
}
_OF_A_STUDY = ("top", "runs", "storage")


def parser() -> cli.Parser:
    """Return the command line's options."""
    result = cli.Parser("export.py", __doc__)
    result.add_values(_MEANINGS)
    cli.add_json(result)
    return result


def main(argv: Sequence[str]) -> int:
    """Return 0 when the files are written."""
    args = parser().parse_args(argv)
    if (args.study is None) == (args.file is None):
        raise InputError(f"{cli.PLACE}: give either --study or --file; see --help")
    with document.alone(wanted=args.json) as output:
        forms, plugins = _forms(args.format), load_plugins(args.plugins)
        take_away.check_forms(forms)
        write = _export if args.file is None else _convert
        content = write(args, forms, plugins)
        if args.json:
            document.write(output, "export", content)
    return 0


def _forms(text: str | None) -> list[str]:
    """Read the words of --format, parted by commas."""
    forms = (text or "yaml").split(",")
    for form in forms:
        if form not in FORMS:
            raise unknown(f"{cli.PLACE}: --format", "form", form, FORMS)
    return forms


def _convert(args: Namespace, forms: Sequence[str], plugins: Plugins | None) -> dict[str, Any]:
    """Write one file's network in other forms; return what was written."""
    path = absolute(args.file, "--file")
    for name in _OF_A_STUDY:
        if getattr(args, name) is not None:
            raise InputError(f"{cli.PLACE}: --{name} is of a study, not of --file; leave it out")
    others = [form for form in forms if form != "yaml"]
    if not others:
        raise InputError(
            f"{cli.PLACE}: --format must name another form than yaml, which --file is already; "
            f"write --format {','.join(take_away.FORMS)}"
        )
    exported = Exported.read(path, plugins)
    out = paths.writable_folder(args.out or path.parent, "--out")
    take_away.take_away(path, exported, others, out)
    return {"study": None, "configurations": [_written(path, others, out)], "next": []}


def _export(args: Namespace, forms: Sequence[str], plugins: Plugins | None) -> dict[str, Any]:
    """Write the best of a study as YAML files, in other forms from there; return what it was."""
    top = cli.number("--top", args.top or 3, Count)
    runs = absolute(args.runs or paths.RUNS, "--runs")
    place = runs / "studies" / args.study
    study = find_study(args.study, args.storage, place)
    check_plugins(study.plugins, plugins, f"--study {args.study}")
    complete = distinct_candidates(study)
    if not complete:
        raise InputError(f"--study {args.study}: no candidate is complete yet; continue the search")
    out = paths.writable_folder(args.out or "exported", "--out")
    if len(complete) < top:
        print(f"only {len(complete)} configurations of {args.study} are complete")
    written = list[dict[str, Any]]()
    for rank, trial in enumerate(complete[:top], start=1):
        path = out / f"{args.study}-{rank}.yaml"
        export(study, trial, files_of(study, place), path, {"rank": rank})
        said = f"trial {trial.number}, final_robust {trial.final_robust:.3f}"
        print(f"{near(path)}: {said}", flush=True)
        others = [form for form in forms if form != "yaml"]
        if others:
            take_away.take_away(path, Exported.read(path, plugins), others, out)
        found = {"rank": rank, "trial": trial.number, "final_robust": trial.final_robust}
        written.append({**found, **_written(path, others, out)})
    first = _answer(args, runs, out) or out / f"{args.study}-1.yaml"
    then = command("train.py", near(first), *plugin_words(plugins))
    print(f"next: {then}")
    return {"study": args.study, "configurations": written, "next": [then]}


def _answer(args: Namespace, runs: Path, out: Path) -> Path | None:
    """Say what the study's race has answered, if it has; return its file where that was written."""
    opened = Studies(runs, args.storage).open(args.study)
    found = None if opened.race is None else race_result(opened.study, opened.race)
    if found is None:
        return None
    path = out / f"{args.study}-confirmed.yaml"
    print(f"the race's answer is trial {found.winner}: {near(path)}")
    return path if path.exists() else None


def _written(path: Path, forms: Sequence[str], out: Path) -> dict[str, Any]:
    """Return the files of a configuration, and the forms that were made of it."""
    made = {form: str(take_away.place(path, form, out)) for form in forms}
    return {**files_written(path), "forms": made}


def run() -> int:
    """Run the command as typed, see `pipeline.base.cli.run`."""
    return cli.run("export", main)


if __name__ == "__main__":
    sys.exit(run())
