"""Reports: what they are made of, and where they are written."""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.base.commands import command, given, near
from pipeline.base.narration import tell
from pipeline.base.paths import RUNS, writable_folder
from pipeline.problem import judgement
from pipeline.problem.plugin_folder import stored_plugin_words
from pipeline.problem.problem import SearchProblem
from pipeline.race.comparable import prove_alike
from pipeline.race.comparison import Comparison, compared, confirmed, prove_raced_alike
from pipeline.study.folder_owner import prove_owner
from pipeline.study.ranking import candidates
from pipeline.study.records import StudyRecord
from pipeline.study.studies import RACE, OpenStudy, Studies
from pipeline.tracking import mlflow_page
from pipeline.views.html.material import TAKE, TAKE_ANSWER, Material
from pipeline.views.html.page import page, page_of_several
from pipeline.views.importances import importances_in_words
from regmix import atomic
from regmix.errors import InputError, first_line

NAME = mlflow_page.REPORT
_EXPORTED = Path("exported")


@dataclass(frozen=True)
class ReportRequest:
    """The checked options of `report.py`.

    studies: where the studies are.
    names: names of the studies, the first one first.
    out: file to write; None for that in the study's folder.
    exported: folder in which exported configurations may lie, with their evaluations.
    """

    studies: Studies
    names: tuple[str, ...]
    out: Path | None
    exported: Path = _EXPORTED


def run_report(request: ReportRequest) -> int:
    """Write the report of one or several studies, and say where it is.

    Returns:
        0.

    Raises:
        InputError: where a study can't be read, or the file can't be written.
    """
    path = write_report(request)
    print(f"{near(path)}: {path.stat().st_size / 1e6:.2f} MB, opens in any browser")
    return 0


def write_report(request: ReportRequest) -> Path:
    """Write the report of one or several studies, and return its file; errors as `run_report`."""
    opened = [request.studies.open(name) for name in request.names]
    text = _text([material(one, request.exported) for one in opened])
    path = request.out or _place(opened, request.studies.runs)
    writable_folder(path.parent, "--out")
    _write(path, text)
    return path


def _place(opened: Sequence[OpenStudy], runs: Path) -> Path:
    """Return where a report goes that nobody named a file for; it is the study's own folder."""
    if len(opened) > 1:
        return runs / "comparisons" / "-".join(one.study.name for one in opened)[:100] / NAME
    prove_owner(opened[0].study, opened[0].place)
    return opened[0].place / NAME


def _text(materials: Sequence[Material]) -> str:
    if len(materials) == 1:
        return page(materials[0])
    found, said = _compared(materials)
    return page_of_several(materials, found, said)


def _write(path: Path, text: str) -> None:
    atomic.write(path, lambda new: new.write_text(text, encoding="utf-8"))


def _compared(materials: Sequence[Material]) -> tuple[Comparison | None, str]:
    """Return what the winners are worth beside each other, or why they are not compared."""
    try:
        prove_alike({one.study.name: one.study for one in materials})
        found = {}
        for one in materials:
            if one.race is None or one.summary.race is None:
                return None, f"not measured, since {one.study.name} has no race"
            found[one.study.name] = confirmed(one.study, one.race)
        prove_raced_alike(found)
    except InputError as error:
        return None, f"not measured: {error}"
    return compared(found), ""


def material(opened: OpenStudy, exported: Path = _EXPORTED) -> Material:
    """Return what a report of a study is made of.

    Args:
        opened: the study, with its race.
        exported: folder in which exported configurations may lie, with their evaluations.
    """
    study, name = opened.study, opened.study.name
    first = near(exported / f"{name}-{'1' if opened.race is None else 'confirmed'}.yaml")
    words = _study_words(opened)
    return Material(
        study=study,
        race=opened.race,
        running=opened.running,
        judged=_judged(exported, name),
        commands=_commands(study, words, first, raced=opened.race is not None),
    )


def _study_words(opened: OpenStudy) -> list[str]:
    """Return the words of a printed command that find a study."""
    runs = opened.place.parent.parent
    options = {
        "--study": opened.study.name,
        "--runs": None if runs == RUNS else near(runs),
        "--storage": opened.storage,
    }
    return given(options)


def _commands(
    study: StudyRecord, words: Sequence[str], first: str, *, raced: bool
) -> Mapping[str, str]:
    """Return what can be done next -> its command."""
    found, plugins = {}, stored_plugin_words(study.plugins)
    if candidates(study):
        more = "Race the best again, with more seeds" if raced else "Race the best with fresh seeds"
        seeds = ("--seeds", 5 if raced else 3)
        if raced:
            found[TAKE_ANSWER] = command("export.py", "--file", first, "--format", "hub", *plugins)
        found[TAKE] = command("export.py", *words, *plugins)
        found[more] = command("confirm.py", *words, *seeds, *plugins)
        again = "Train what was taken again, to the same numbers"
        found[again] = command("train.py", first, *plugins)
        found["Judge it once, on test data"] = command("evaluate.py", first, *plugins)
    found["Go on with this search, or show its end again"] = command(
        "search.py", *_again(study, words), *plugins
    )
    found["Write this report anew"] = command("report.py", *words)
    return found


def _again(study: StudyRecord, words: Sequence[str]) -> list[str]:
    """Return the words by which a search is begun as this one was."""
    problem = study.problem
    space, recipe = str(problem["space"]), str(problem["recipe"])
    method = dict(study.methods[-1]) if study.methods else {}
    limits = {f"--{name}": f"{value:g}" for name, value in study.asked.items() if name != "budget"}
    if "budget" in study.asked:
        limits["--budget"] = f"{study.asked['budget']:g}s"
    options = {
        "--space": space,
        "--recipe": recipe,
        **limits,
        **{f"--{name}": method.get(name) for name in ("sampler", "pruner", "seed")},
        "--objective": None if study.objective == "robust" else study.objective,
        "--min-clean": study.min_clean,
    }
    changed = _overrides(problem)
    return [*words, *given(options), *(["--set", *changed] if changed else [])]


def _overrides(problem: Mapping[str, Any]) -> list[str]:
    """Return KEY=VALUE of what differs from the recipe as it is now; [] where it is gone."""
    try:
        usual = SearchProblem.load(str(problem["space"]), str(problem["recipe"]), {}).identity()
    except InputError:
        return []
    return [
        f"{name}={str(value).lower() if isinstance(value, bool) else value}"
        for name, value in problem.items()
        if name in usual and "." not in name and name != "seed" and usual[name] != value
    ]


def _judged(exported: Path, name: str) -> Mapping[str, Mapping[str, Any]]:
    """Return file -> evaluation on test data, of the configurations that a study gave."""
    found = {}
    for path in sorted(exported.glob(f"{name}-*.judgement.yaml")):
        rest = path.name.removeprefix(f"{name}-").removesuffix(".judgement.yaml")
        if rest == "confirmed" or rest.isdigit():
            with contextlib.suppress(InputError):  # damaged: evaluate.py says so
                found[path.name.removesuffix(".judgement.yaml")] = judgement.read(path)
    return found


@dataclass(frozen=True)
class Written:
    """A report that was written: its page, and in words which parameters matter; '' for none."""

    page: str = ""
    matters: str = ""


def written(studies: Studies, study: StudyRecord, *, running: bool) -> Written:
    """Write a study's report into its folder at the end of a session, and return it.

    That of a race is the report of its search. A report is not worth a search: where it can't be
    made, a line says so.

    Args:
        studies: where the study is.
        study: the study, or the study of a race.
        running: whether other drivers run it still.
    """
    name = study.name.removesuffix(RACE) if study.source else study.name
    try:
        opened = studies.open(name)
        made = replace(material(opened), running=running)
        text = page(made)
        _write(opened.place / NAME, text)
        return Written(text, importances_in_words(made.importances, made.told))
    except Exception as error:
        again = command("report.py", "--study", name)
        said = f"{type(error).__name__}: {first_line(error)[:150]}"
        print(f"no report of {name} ({said}); its study is whole: {again}", file=sys.stderr)
        return Written()


def write_comparison(studies: Studies, names: Sequence[str], path: Path, exported: Path) -> None:
    """Write the report of several studies at the end of their comparison, and say where it is.

    Args:
        studies: where they are.
        names: their names.
        path: the file.
        exported: folder of the winners and their judgements.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, _text([material(studies.open(name), exported) for name in names]))
    except Exception as error:
        print(f"no report ({type(error).__name__}: {first_line(error)[:150]})", file=sys.stderr)
        return
    tell(f"report: {near(path)}")
