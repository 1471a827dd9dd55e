"""The effort of a study: what a number of full trainings buys, and how much of it is used."""

import pytest

from pipeline.study.effort import Trainings, effort_of
from pipeline.study.events import TrialOutcome
from pipeline.study.progress import progress
from tests.support.controllers import EPOCHS, controller_at, epoch_result, finish


def limited(place, count):
    return controller_at(place, None, trainings=Trainings(count, EPOCHS), sampler="random")


def test_a_trial_begins_where_its_epochs_fit_beside_what_others_may_still_need(tmp_path):
    controller = limited(tmp_path, 2)
    first, second = controller.ask(), controller.ask()
    assert controller.ask() is None and controller.to_begin == 0
    controller.report(second.number, epoch_result(1, 0.1))
    controller.tell(second.number, TrialOutcome("PRUNED", "behind"))
    assert controller.ask() is None  # three epochs are left, a training has four
    finish(controller, first)
    assert controller.ask() is None and not controller.has_effort
    longer = limited(tmp_path, 3)
    assert longer.to_begin == 1 and longer.ask().number == 2
    assert longer.ask() is None


def test_what_is_pruned_goes_to_others(tmp_path):
    controller = limited(tmp_path, 2)
    for _ in range(5):  # of one epoch each: four are left of eight, then three
        request = controller.ask()
        controller.report(request.number, epoch_result(1, 0.1))
        controller.tell(request.number, TrialOutcome("PRUNED", "behind"))
    assert controller.ask() is None
    assert effort_of(controller.study).trained == 5


def test_what_was_begun_goes_on_whatever_fits(tmp_path):
    controller = limited(tmp_path, 1)
    request = controller.ask()
    controller.report(request.number, epoch_result(1, 0.1))
    again = limited(tmp_path, 1)  # its driver died
    assert again.has_effort and again.to_begin == 1
    assert again.ask().resume_epoch == 1
    assert not again.has_effort


def test_what_was_enqueued_waits_for_room(tmp_path):
    controller = limited(tmp_path, 1)
    controller.record.enqueue({"alpha": 1.0, "beta": 1.0, "epsilon_ratio": 1.0}, "a file")
    finish(controller, controller.ask())
    assert controller.ask() is None
    assert limited(tmp_path, 2).ask().number == 1


@pytest.mark.parametrize(
    ("trained", "count", "expected"),
    [(276, 32, "23 of 32 trainings used"), (3, 1, "0.2 of 1 training used")],
)
def test_effort_is_told_in_trainings(trained, count, expected):
    assert Trainings(count, 12).in_words(trained) == expected


def test_progress_is_the_largest_share_of_what_was_asked_for(tmp_path):
    controller = limited(tmp_path, 5)
    study = controller.record
    assert progress(study) == 0.0
    finish(controller, controller.ask())
    controller.ask()
    study.set_seconds(30.0)
    for extent, expected in (
        ({}, 0.0),
        ({"trainings": 5, "epochs": 5 * EPOCHS}, 0.2),
        ({"trainings": 5, "epochs": 5 * EPOCHS, "trials": 8}, 0.25),
        ({"epochs": 5 * EPOCHS, "trials": 8, "budget": 40.0}, 0.75),
        ({"budget": 20.0}, 1.0),
    ):
        study.set_extent(extent)
        assert progress(study) == pytest.approx(expected)
