"""MLflow's page as a person clicks through it, in a browser: the server that `ui.py` starts."""

import re
import signal

import pytest

from pipeline.tracking import page_server
from tests.support.browser import browsing
from tests.support.large_study import write_study
from tests.support.processes import call, free_port, line_of, start
from tests.support.studies import states

STUDY, TRIALS = "small", 30
COLUMNS = ("final_robust", "over_default", "over_default_low", "valid_clean", "rank", "Description")
# MLflow's own, of 3.17: it asks for a user where nobody logs in, and a chart was resized twice
THEIRS = ("/users/current", "status of 404", "ResizeObserver loop")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a finished study and MLflow's view of it."""
    folder = tmp_path_factory.mktemp("runs")
    write_study(folder / "studies" / STUDY, TRIALS, name=STUDY)
    assert call("search", "--sync", "--study", STUDY, "--runs", folder).code == 0
    return folder


def ours(errors):
    return [error for error in errors if not any(word in error for word in THEIRS)]


def height(element):
    """Where on the page an element stands, in pixels from above."""
    return element.bounding_box()["y"]


def column(page, name):
    """Where a column of the table begins, in pixels from the left."""
    cell = page.get_by_role("columnheader").filter(has_text=re.compile(f"^{name}$"))
    return cell.last.bounding_box()["x"]


def unfold(page):
    """Show all of the description, of which a line is in sight."""
    page.locator('[data-component-id="mlflow.experiment.metadata_editor.expand_button"]').click()


@pytest.mark.process(seconds=20)
def test_each_question_is_answered_by_a_click_and_nothing_is_asked_for_elsewhere(runs):
    ranked = [
        f"trial {trial.number:03d}"
        for trial in sorted(
            states(runs, STUDY).values(), key=lambda trial: trial.final_robust or 0, reverse=True
        )
    ]
    with browsing() as browsed:
        process = start("ui", "--runs", runs, "--port", free_port(), cold=True)
        try:
            page = browsed.page
            page.set_default_timeout(300_000)  # ms, for a machine that is busy
            table = line_of(process, f"{STUDY} trials: ").split()[-1]
            page.goto(table.partition("#")[0])  # the bare address lists the studies
            page.get_by_role("link", name=STUDY, exact=True).wait_for()
            page.goto(table)

            # is it done, which is best, is it real
            page.get_by_text(f"of {TRIALS} trials complete, best trial").wait_for()
            best = page.get_by_role("link", name=ranked[0], exact=True)
            best.wait_for()
            links = page.get_by_role("link", name=re.compile(r"^trial \d+$")).all()
            shown = [link.inner_text() for link in sorted(links, key=height)]
            assert shown[:3] == ranked[:3]
            places = [column(page, name) for name in COLUMNS]
            assert places == sorted(places)
            for words in ("MLflow Assistant", "You're viewing a shared view"):
                assert not page.get_by_text(words).first.is_visible()

            # what matters, what it costs, how it is got
            unfold(page)
            assert page.get_by_text("pipeline/export.py").is_visible()
            charts = browsed.follow(page.get_by_role("link", name="charts", exact=True))
            charts.get_by_text("what it costs in clean accuracy").wait_for()
            charts.get_by_text("valid_clean vs. final_robust").wait_for()
            charts.get_by_text("What matters").first.wait_for()
            charts.close()

            # what was stopped and why; the rest
            opened = browsed.follow(page.get_by_role("link", name="report", exact=True))
            report = opened.frame_locator("iframe")
            report.get_by_text("What was stopped, and why?").first.wait_for()
            report.locator("svg").first.wait_for()
            opened.close()

            best.click()
            page.get_by_text("over the default").first.wait_for()
            page.get_by_role("tab", name="Artifacts").click()
            page.get_by_text("config.yaml").first.click()
            page.get_by_text("eval_steps").first.wait_for()
            assert browsed.outside == []
            assert ours(browsed.errors) == []
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=600)


def test_the_first_page_sets_what_the_browser_does_not_hold_yet():
    page = page_server.prepared("<!doctype html><html><head><title>MLflow</title></head></html>")
    assert page.startswith("<!doctype html><html><head><script>")
    assert page.endswith("<title>MLflow</title></head></html>")
    assert 'localStorage["mlflow.workflowType_v1"] ??= "\\"machine_learning\\""' in page


def test_a_server_of_another_version_is_started_as_it_is():
    ours = page_server.with_our_page(lambda *words: [*words])
    assert ours("uvicorn", "--workers", "mlflow.server.fastapi_app:app")[-2:] == [
        "--factory",
        "pipeline.tracking.page_server:create",
    ]
    assert ours("uvicorn", "mlflow.server:another") == ["uvicorn", "mlflow.server:another"]
