"""MLflow's page of a real search, clicked through: what it answers, and that nothing breaks."""

import shutil
import signal

import pytest
from playwright.sync_api import expect

from tests.support.browser import browsing
from tests.support.processes import free_port, start

PATIENCE = 300_000  # ms, for a machine that is busy
MLFLOWS_OWN = "mlflow/users/current"  # it asks each server whether it knows users: ours has none


@pytest.fixture(scope="module")
def addresses(finished, tmp_path_factory):
    """What `ui.py` prints of a finished search: its table and its charts."""
    runs = shutil.copytree(finished[0], tmp_path_factory.mktemp("shown") / "runs")
    process = start("ui", "--runs", runs, "--port", free_port(), cwd=runs)
    lines = (line for line in process.stdout if line.startswith("wamr-digits "))
    yield [next(lines).split()[-1] for _ in range(2)]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=600)


@pytest.mark.process(seconds=60)
def test_each_question_is_answered_where_it_is_asked(addresses):
    table, charts = addresses
    with browsing() as browsed:
        page = browsed.page
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.goto(table)
        expect(page.get_by_text("done: ").first).to_be_visible()  # is it done, which is best
        columns = page.locator("[role=columnheader][col-id]")
        expect(columns.filter(has_text="valid_clean").first).to_be_visible()
        shown = [one.get_attribute("col-id") for one in columns.all()]
        wanted = [f"metrics.`{name}`" for name in ("final_robust", "over_default", "valid_clean")]
        assert [name for name in shown if name in wanted] == wanted  # is it real, what it costs
        assert page.get_by_text("](#").count() == 0, "Markdown is shown as it is written"

        page.goto(charts)
        expect(page.get_by_text("valid_clean vs. final_robust").first).to_be_visible()
        expect(page.get_by_text("What matters").first).to_be_visible()

        page.goto(table)
        page.get_by_role("link", name="trial 0").first.click()
        expect(page.get_by_text("final_robust").first).to_be_visible()
        expect(page.get_by_text("alpha").first).to_be_visible()

        ours = [error for error in browsed.errors if MLFLOWS_OWN not in error]
        assert ours == []
        assert browsed.outside == []


@pytest.mark.process(seconds=30)
def test_the_report_opens_among_the_files_of_the_summary(addresses):
    with browsing() as browsed:
        page = browsed.page
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.goto(addresses[0])
        expect(page.get_by_text("done: ").first).to_be_visible()
        server = addresses[0].partition("/#")[0]
        found = page.request.post(
            f"{server}/api/2.0/mlflow/runs/search",
            data={"experiment_ids": ["1"], "filter": "tags.summary = 'true'"},
        ).json()
        (run,) = [one["info"]["run_id"] for one in found["runs"]]
        page.goto(
            f"{addresses[0].partition('/#')[0]}/#/experiments/1/runs/{run}/artifacts/report.html"
        )
        report = page.frame_locator("iframe").first
        expect(report.get_by_role("heading", name="Which ").first).to_be_visible()
        expect(report.get_by_text("What matters?").first).to_be_visible()
        assert browsed.outside == []
