"""What the pages show in Python runs as it stands, and the notebook does."""

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.pages import blocks
from tests.support.processes import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


def shown(page, word):
    """Return the one block of Python on a page that has a word."""
    (code,) = [code for code in blocks(ROOT / "docs" / page, "python") if word in code]
    return compile(code, page, "exec")


def test_every_page_with_python_is_run_by_a_test():
    pages = {page.name for page in (ROOT / "docs").glob("*.md") if blocks(page, "python")}
    assert pages == {"extending.md", "search.md", "take_away.md"}  # the first by tests/test_docs.py
    assert len(blocks(ROOT / "docs" / "search.md", "python")) == 1
    assert len(blocks(ROOT / "docs" / "take_away.md", "python")) == 1


@pytest.mark.process
def test_a_study_is_opened_as_the_page_opens_it(finished, tmp_path, monkeypatch, capsys):
    (tmp_path / "mlruns").symlink_to(finished[0])
    monkeypatch.chdir(tmp_path)
    exec(shown("search.md", "open_study"), {})
    said = capsys.readouterr().out
    assert said.startswith("done: ")
    assert "over_default" in said


def test_a_network_is_trained_and_evaluated_as_the_page_does_it(capsys):
    exec(shown("take_away.md", "regmix.train"), {})
    accuracies, evaluation = capsys.readouterr().out.splitlines()
    assert len(accuracies.split(",")) == 3
    assert evaluation.startswith("robust ")


@pytest.mark.process(seconds=40)
def test_the_notebook_runs_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    places = {"metadata": {"path": str(tmp_path)}}
    ran = NotebookClient(notebook, timeout=None, startup_timeout=600, resources=places).execute()
    said = [output for cell in ran.cells for output in cell.get("outputs", ())]
    assert said[0]["data"]["text/plain"].startswith("'done: ")
    assert said[-1]["text"].strip().splitlines()[-1].startswith("robust ")
    assert (tmp_path / "runs" / "studies" / "first-look" / "report.html").is_file()
