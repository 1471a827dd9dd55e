"""Methods searched with equal effort, raced with fresh seeds, judged once, and compared.

Search, race and judgement are the commands of these names, each in a process of its own: what a
kill leaves is what they go on with, and a budget counts from the start of its own process.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.base.children import run_command
from pipeline.base.commands import near, typed
from pipeline.base.early import INTERRUPTED
from pipeline.base.narration import is_quiet, tell
from pipeline.base.paths import writable_folder
from pipeline.driver.course import JUDGEMENTS, RACES, SEARCHES, Course
from pipeline.problem import judgement
from pipeline.problem.levelling import levelled
from pipeline.race.comparable import prove_alike, prove_judged_alike, searched_by_some
from pipeline.race.comparison import Confirmed, compared, confirmed, prove_raced_alike
from pipeline.study.records import StudyRecord
from pipeline.study.storage import find_study
from pipeline.study.studies import Studies
from pipeline.views import comparison_table
from pipeline.views.layout import page_width
from regmix import atomic, yaml_file


@dataclass(frozen=True)
class ComparisonRequest:
    """The checked options of `compare.py`.

    name: name of the comparison, with which the name of each study begins.
    spaces: files of the spaces to search; none where studies are compared.
    studies: names of the studies that are compared.
    runs: folder of studies.
    out: folder of the confirmed configurations.
    search_words: what every search is told.
    race_words: what every race is told.
    words: what every search and race is told.
    judge_words: what every judgement is told.
    """

    name: str
    spaces: tuple[Path, ...]
    studies: tuple[str, ...]
    runs: Path
    out: Path
    search_words: tuple[str, ...]
    race_words: tuple[str, ...]
    words: tuple[str, ...]
    judge_words: tuple[str, ...]


class Ended(Exception):  # noqa: N818  (a command has ended, which is not this one's error)
    """A search, race or judgement ended without an answer, for a reason that it has said."""

    def __init__(self, script: str, status: int) -> None:
        """Keep the exit status, and say whose it is."""
        super().__init__(f"{script} ended with status {status}")
        self.status = status


def run_comparison(request: ComparisonRequest) -> tuple[int, dict[str, Any]]:
    """Do what is not done yet, and print the comparison.

    Returns:
        status, and what was found as JSON holds it, {} where the status is not 0. It is 0 when the
        methods are compared, 1 when one of them has no answer, 2 for a mistake that a command of
        it has told, 130 when interrupted.

    Raises:
        InputError: where methods were measured otherwise.
    """
    kinds = (SEARCHES, RACES, JUDGEMENTS) if request.spaces else (RACES, JUDGEMENTS)
    course = Course(len(request.spaces or request.studies), kinds)
    tell(course.plan())
    try:
        names = {name: name for name in request.studies} or _searched(request, course)
        studies = {method: _study(request, name) for method, name in names.items()}
        prove_alike(studies)
        for method, study in studies.items():
            out = ("--out", request.out)
            race = ("--study", study.name, *request.race_words, *out, *request.words)
            with course.step(RACES, f"{method}: its best against its start, fresh seeds") as title:
                _do(title, "confirm.py", *race)
        races = {m: _study(request, f"{name}-confirm") for m, name in names.items()}
        found = {m: confirmed(studies[m], races[m]) for m in studies}
        prove_raced_alike(found)
        for method, study in studies.items():
            words = (near(_file(request, study)), *request.judge_words)
            with course.step(JUDGEMENTS, f"{method}: judged once on test data") as title:
                _do(title, "evaluate.py", *words)
    except Ended as ended:
        if ended.status == INTERRUPTED:
            said = f"interrupted; nothing is lost: the same command goes on:\n  {typed()}"
            print(said, file=sys.stderr)
            return INTERRUPTED, {}
        print(f"compare: {ended}; once that is mended, the same command goes on", file=sys.stderr)
        return 2 if ended.status == 2 else 1, {}
    told = _tell(request, studies, found)
    from pipeline.driver.report import NAME, write_comparison  # of what draws, nothing before

    path = request.runs / "comparisons" / request.name / NAME
    write_comparison(
        Studies(request.runs), [study.name for study in studies.values()], path, request.out
    )
    return 0, told


def _searched(request: ComparisonRequest, course: Course) -> dict[str, str]:
    """Search every space with the same effort; return method -> name of its study."""
    folder = writable_folder(request.runs / "comparisons" / request.name, "--runs")
    names = {}
    for space, content in levelled(request.spaces).items():
        path, names[space] = folder / f"{space}.yaml", f"{request.name}-{space}"
        atomic.write(path, partial(_write, yaml_file.dump(content)))
        words = ("--space", near(path), "--study", names[space], "--no-confirm")
        with course.step(SEARCHES, f"{space}: searched") as title:
            _do(title, "search.py", *words, *request.search_words, *request.words)
    return names


def _write(text: str, file: Path) -> None:
    file.write_text(text)


def _do(title: str, script: str, *words: object) -> None:
    """Run a command.

    Raises:
        Ended: where it had no answer.
    """
    tell(f"\n== {title} ==")
    quiet = ("--quiet",) if is_quiet() else ()
    status = run_command(script, (*words, *quiet), silent=is_quiet())
    if status:
        raise Ended(script, status)


def _study(request: ComparisonRequest, name: str) -> StudyRecord:
    return find_study(name, None, request.runs / "studies" / name, "--studies")


def _file(request: ComparisonRequest, study: StudyRecord) -> Path:
    """Return the file that the race wrote."""
    return request.out / f"{study.name}-confirmed.yaml"


def _tell(
    request: ComparisonRequest,
    studies: Mapping[str, StudyRecord],
    found: Mapping[str, Confirmed],
) -> dict[str, Any]:
    """Print what the comparison shows, and its tables; return it as JSON holds it."""
    judged = {
        method: judgement.read(_file(request, study).with_suffix(".judgement.yaml"))
        for method, study in studies.items()
    }
    prove_judged_alike(judged)
    known, by_some = compared(found), searched_by_some(studies)
    page = comparison_table.page(found, known, judged, by_some, page_width())
    print("\n".join(("", *page)))
    names = {method: study.name for method, study in studies.items()}
    files = {method: str(_file(request, study)) for method, study in studies.items()}
    return {
        "name": request.name,
        **comparison_table.content(found, known, judged, by_some, names, files),
    }
