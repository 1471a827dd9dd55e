"""The report as one HTML file: what it holds, what it can't do, and how it is used."""

from types import SimpleNamespace

import pytest

from pipeline.driver.report import NAME, ReportRequest, run_report, written
from pipeline.study.studies import Studies
from pipeline.views.html.markup import Markup, element
from pipeline.views.html.material import Material
from pipeline.views.html.page import page
from pipeline.views.html.svg import Frame, Scale, apart, nice_step, shade, tick_text
from pipeline.views.html.timeline import Bar, Clock, packed
from regmix.errors import InputError
from tests.support.browser import browsing
from tests.support.controllers import controller_at, epoch_result, finish
from tests.support.large_study import write_study
from tests.support.markup import Read

EVIL = "<script>alert('x')</script><img src=x onerror=alert(1)>\"'&"
QUESTIONS = (
    "Is it done?",
    "Which is best?",
    "Is it real?",
    "What does it cost in clean accuracy?",
    "What matters?",
    "What was stopped, and why?",
    "How do I get it?",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a study of 10 trials, one of 1,000, and one whose reasons are hostile."""
    folder = tmp_path_factory.mktemp("runs")
    write_study(folder / "studies" / "small", 10, name="small")
    write_study(folder / "studies" / "large", 1000, name="large")
    write_study(folder / "studies" / "hostile", 30, reason=EVIL, name="hostile")
    return folder


@pytest.fixture(scope="module")
def pages(runs):
    """Name of a study -> its report."""
    return {name: report(runs, name) for name in ("small", "large", "hostile")}


def report(runs, *names, out=None):
    path = out or runs / f"{'-'.join(names)}.html"
    assert run_report(ReportRequest(Studies(runs), names, path, runs / "exported")) == 0
    return path


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_report_is_one_small_file_that_loads_nothing_and_is_well_formed(pages, name):
    path = pages[name]
    assert path.stat().st_size < 2_000_000
    text = path.read_text()
    read = Read(text)
    assert read.mistakes == []
    assert [one for one in read.loaded if not one.startswith("#")] == []
    assert {one.removeprefix("#") for one in read.loaded} <= set(read.ids)
    assert len(set(read.ids)) == len(read.ids)
    assert "default-src &#x27;none&#x27;" in text
    for question in QUESTIONS:
        assert question in read.text


@pytest.mark.parametrize("name", ["small", "large"])
def test_every_trial_stands_in_it_with_the_reason_of_its_end(runs, pages, name):
    read = Read(pages[name].read_text())
    trials = Studies(runs).open(name).study.trials()
    assert read.tags["tr"] > len(trials)
    reasons = {trial.reason for trial in trials}
    assert len(reasons) > 2
    for reason in reasons:
        assert reason in read.text


def test_what_comes_from_a_study_is_text_and_never_markup(pages):
    text = pages["hostile"].read_text()
    read = Read(text)
    assert EVIL in read.text, "it is shown as it stands"
    assert read.tags["script"] == 1 and "img" not in read.tags
    assert read.mistakes == []


def test_it_says_what_the_summary_says(runs):
    opened = Studies(runs).open("small")
    material = Material(opened.study)
    read = Read(page(material))
    found = material.summary
    assert found.headline in read.text and found.question in read.text
    assert (
        f"Trial {found.best.trial} has robust accuracy {found.best.final_robust:.3f}" in read.text
    )
    assert "nothing" not in found.headline


def test_a_study_without_any_epoch_has_a_report_too(tmp_path):
    controller = controller_at(tmp_path, trials=2)
    assert Read(page(Material(controller.record))).mistakes == []
    controller.ask()
    running = Read(page(Material(controller.record, running=True)))
    assert running.mistakes == [] and "running" in running.text
    controller.report(0, epoch_result(1, 0.3))
    once = Read(page(Material(controller.record, running=True)))
    assert once.mistakes == [] and "validated once: there is no curve" in once.text


def test_a_single_complete_trial_is_enough(tmp_path):
    controller = controller_at(tmp_path, trials=1)
    finish(controller, controller.ask(), 0.5)
    read = Read(page(Material(controller.record)))
    assert read.mistakes == [] and "nothing better was found" in read.text


def test_two_studies_stand_side_by_side_and_names_are_not_used_twice(runs):
    read = Read(report(runs, "small", "hostile").read_text())
    assert read.mistakes == []
    assert len(set(read.ids)) == len(read.ids)
    assert {one.removeprefix("#") for one in read.loaded} <= set(read.ids)
    assert "Side by side" in read.text and "has no race" in read.text


def test_an_unknown_study_is_told_and_nothing_is_made(runs, tmp_path):
    with pytest.raises(InputError, match="unknown study 'other'"):
        report(runs, "other", out=tmp_path / "made" / "other.html")
    assert not (tmp_path / "made").exists()


def test_at_the_end_it_lies_in_the_folder_of_the_study(runs):
    study = Studies(runs).open("small").study
    report = written(Studies(runs), study, running=False)
    assert (runs / "studies" / "small" / NAME).read_text() == report.page != ""


def test_a_report_that_cannot_be_written_is_a_line_and_no_more(runs, capsys):
    study = SimpleNamespace(name="gone", source="")
    assert written(Studies(runs), study, running=False).page == ""
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("no report of gone (") and err.count("\n") == 1


@pytest.mark.process(seconds=5)
def test_in_a_browser_it_is_sorted_searched_and_pointed_at(pages):
    path = pages["large"]
    with browsing() as browsed:
        page = browsed.page
        page.goto(path.as_uri())
        assert not browsed.too_wide
        page.locator("#trials summary").click()
        head = page.locator("#trials thead button", has_text="clean")
        heads = [text.strip() for text in page.locator("#trials thead th").all_text_contents()]
        column = f":nth-child({1 + heads.index('clean')})"
        for falls in (False, True):
            head.click()
            found = page.locator(f"#trials tbody tr > {column}").all_text_contents()
            values = [float(one) for one in found if one]
            assert values == sorted(values, reverse=falls) and len(values) == 1000
        page.locator("[data-filter]").fill("catastrophic")
        counted = page.locator("[data-count]").inner_text()
        assert counted == f"{page.locator('#trials tbody tr:visible').count()} of 1000"
        page.locator("[data-state]").select_option("failed")
        assert page.locator("[data-count]").inner_text() == "0 of 1000"
        mark = page.locator("#trade-off circle.best")
        mark.click()
        assert mark.locator("title").text_content() in page.locator(".readout").inner_text()
        assert page.locator("svg .lit").count() > 2, "the same trial in other figures"
        page.keyboard.press("Escape")
        assert not page.locator(".readout").is_visible()
        assert browsed.errors == [] and browsed.outside == []


@pytest.mark.process(seconds=5)
@pytest.mark.parametrize("name", ["small", "large"])
def test_on_a_phone_the_page_never_scrolls_sideways(pages, name):
    path = pages[name]
    with browsing(width=400, height=800) as browsed:
        browsed.page.goto(path.as_uri())
        for fold in browsed.page.locator("summary").all():
            if fold.locator("..").get_attribute("open") is None:
                fold.click()
        assert not browsed.too_wide
        assert browsed.errors == []


def test_a_plain_string_is_escaped_wherever_it_is_put():
    made = element("p", "a<b", Markup("<i></i>"), title='say "x"', data_trial=3, class_=None)
    assert made == '<p title="say &quot;x&quot;" data-trial="3">a&lt;b<i></i></p>'


@pytest.mark.parametrize(
    ("raw", "step"), [(0.013, 0.02), (1.0, 1.0), (2.1, 2.5), (3.0, 5.0), (70.0, 100.0)]
)
def test_a_step_is_the_next_round_number(raw, step):
    assert nice_step(raw) == pytest.approx(step)


def test_a_scale_puts_its_ends_at_its_pixels_and_factors_evenly_on_a_log_scale():
    even = Scale(0.0, 10.0, 100.0, 300.0)
    assert [even.at(value) for value in (0, 5, 10, 11, -1)] == [100, 200, 300, 300, 100]
    log = Scale(0.1, 10.0, 0.0, 200.0, log=True)
    assert [log.at(value) for value in (0.1, 1.0, 10.0)] == [0, 100, 200]
    assert Scale(3.0, 3.0, 0.0, 50.0).at(3.0) == 25.0


def test_ticks_are_round_and_within_the_scale():
    assert Scale(0.0, 1.0, 0, 1).ticks(5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert Scale(0.32, 0.51, 0, 1).ticks(4) == pytest.approx([0.35, 0.4, 0.45, 0.5])
    assert Scale(0.02, 10.0, 0, 1, log=True).ticks(5) == pytest.approx([0.03, 0.1, 0.3, 1, 3, 10])
    assert Scale(1e-5, 2e-3, 0, 1, log=True).ticks(3) == pytest.approx([1e-5, 1e-4, 1e-3])
    assert Scale(2.0, 2.0, 0, 1).ticks() == [2.0]


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0"), (0.25, "0.25"), (10.0, "10"), (1e-5, "1e-5"), (2e6, "2e6")]
)
def test_a_tick_reads_as_people_write_it(value, text):
    assert tick_text(value) == text


def test_a_frame_points_upwards():
    frame = Frame.of(200, 100, (0, 1), (0, 1))
    assert frame.y.at(0) > frame.y.at(1) and frame.x.at(0) < frame.x.at(1)


def test_names_are_moved_apart_and_stay_above_the_axis():
    assert apart([10, 12, 50], 14, 100) == [10, 24, 50]
    assert apart([95, 96, 97], 14, 100) == [72, 86, 100]


def test_shades_go_from_dark_blue_to_yellow():
    assert shade(0.0) == "#002a5c" and shade(1.0) == "#fddb45"
    lightness = [sum(int(shade(n / 9)[i : i + 2], 16) for i in (1, 3, 5)) for n in range(10)]
    assert lightness == sorted(lightness)


def test_a_lane_is_used_again_when_it_is_free():
    bars = [Bar(None, begin, end) for begin, end in ((0, 10), (1, 5), (5, 9), (9, 12), (10, 11))]
    assert packed(bars) == [0, 1, 1, 1, 0]


def test_a_pause_of_the_night_is_cut_out():
    bars = [Bar(None, 0, 100), Bar(None, 90, 200), Bar(None, 40_000, 40_100)]
    clock = Clock.of(bars)
    assert clock.spans == [(0, 200), (40_000, 40_100)]
    assert clock.at(0) < clock.at(200) < clock.at(40_000) < clock.at(40_100) <= 960
    lengths = clock.at(200) - clock.at(100), clock.at(40_100) - clock.at(40_000)
    assert lengths[0] == pytest.approx(lengths[1], abs=0.3)
