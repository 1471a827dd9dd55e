"""What a study says, as every view takes it."""

import json

from pipeline.views.summary import DONE, EMPTY, INTERRUPTED, RUNNING, summarize
from tests.support.controllers import controller_at, finish


def test_a_study_is_empty_then_runs_then_is_interrupted_or_done(tmp_path):
    controller = controller_at(tmp_path, trials=2)
    study = controller.record
    assert summarize(study).state == EMPTY
    first = controller.ask()
    assert summarize(study, running=True).state == RUNNING
    assert summarize(study).state == INTERRUPTED, "its driver is gone, and it was not ended"
    finish(controller, first, 0.4)
    finish(controller, controller.ask(), 0.5)
    assert summarize(study).state == DONE


def test_the_headline_says_which_is_best_and_what_it_gains(tmp_path):
    controller = controller_at(tmp_path, trials=3)
    for robust in (0.4, 0.5, 0.45):
        finish(controller, controller.ask(), robust)
    found = summarize(controller.record)
    assert [row.trial for row in found.trials] == [1, 2, 0]
    assert [row.rank for row in found.trials] == [1, 2, 3]
    assert found.headline == (
        "done: 3 of 3 trials complete, best trial 1: 0.500, +0.100 over the start, on one seed"
    )


def test_a_start_that_nothing_beats_is_called_so(tmp_path):
    controller = controller_at(tmp_path, trials=2)
    for robust in (0.5, 0.4):
        finish(controller, controller.ask(), robust)
    assert summarize(controller.record).headline.endswith(
        "best trial 0: 0.500, the start: nothing better was found"
    )


def test_the_document_is_json_and_has_every_trial(tmp_path):
    controller = controller_at(tmp_path, trials=2)
    finish(controller, controller.ask(), 0.5)
    document = json.loads(json.dumps(summarize(controller.record).document(), allow_nan=False))
    assert [row["trial"] for row in document["trials"]] == [0]
    assert document["best"]["final_robust"] == 0.5
    assert document["counts"]["COMPLETE"] == 1
