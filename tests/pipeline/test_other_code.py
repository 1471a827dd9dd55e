"""Which code runs: the command's own, wherever the user stands; else nothing is trained."""

import os
import shutil
import subprocess
import sys

import pytest

from pipeline.problem.environment import CODE_DIGEST
from tests.support.processes import ROOT, run
from tests.support.studies import search_arguments, states

CHANGED = """
def validate(*args, **settings):
    raise RuntimeError("the code of another folder has run")
"""
EDITS_A_FILE_AND_IS_DIGITS = '''
"""Digits, of a data set that edits the code while a search begins."""
import regmix.errors
from regmix.data.digits import digits
from regmix.images import Images, PartName

def edits(part: PartName) -> Images:
    """Return digits, after an edit."""
    with open(regmix.errors.__file__, "a") as file:
        file.write("# edited\\n")
    return digits(part)
'''


@pytest.fixture
def clone(tmp_path):
    """Another clone of the project."""
    place = tmp_path / "clone"
    for name in ("regmix", "pipeline", "search_spaces"):
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    return place


@pytest.mark.process(seconds=16)
def test_within_another_clone_and_on_one_core_the_right_code_runs_one_trial_at_a_time(
    clone, tmp_path
):
    with open(clone / "regmix" / "evaluation" / "pgd_ensemble.py", "a") as file:
        file.write(CHANGED)
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})  # which a process inherits
    try:
        arguments = search_arguments(tmp_path / "runs", trials=2, epochs=2)
        result = run("search", *arguments, cwd=clone, cold=True)
    finally:
        os.sched_setaffinity(0, before)
    assert result.code == 0, result.out + result.err
    assert "of the time of 1 parallel trials" in " ".join(result.out.split())
    trials = states(tmp_path / "runs").values()
    assert {trial.state for trial in trials} == {"COMPLETE"}
    assert {place.versions["code"] for t in trials for place in t.computed_on} == {CODE_DIGEST}


@pytest.mark.process(seconds=10)
def test_workers_with_other_code_than_the_driver_train_nothing(clone, tmp_path):
    """The code is edited between the start of the driver and that of its workers."""
    folder = tmp_path / "plugins" / "data"
    folder.mkdir(parents=True)
    (folder / "edits.py").write_text(EDITS_A_FILE_AND_IS_DIGITS)
    arguments = search_arguments(tmp_path / "runs", "--plugins", tmp_path / "plugins", trials=2)
    command = [sys.executable, str(clone / "pipeline" / "search.py"), *map(str, arguments)]
    result = subprocess.run([*command, "data=edits"], capture_output=True, text=True, timeout=200)
    assert result.returncode == 2, result.stdout + result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert f"{clone}: a worker must run the code of this command" in result.stderr
    assert [t.last_epoch for t in states(tmp_path / "runs").values()] == [0, 0]
