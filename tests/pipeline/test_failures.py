"""Failed trials, tried again once their cause is mended: under their own numbers, on demand."""

import optuna
import pytest

from pipeline import pruners, samplers
from pipeline.study import failures
from pipeline.study.controller import DIED, StudyController
from pipeline.study.events import TrialOutcome
from pipeline.study.queue import SampledQueue
from pipeline.study.records import BY_HAND, StudyRecord
from pipeline.study.result_order import Lockstep
from pipeline.study.storage import open_storage
from tests.support.controllers import (
    EPOCHS,
    controller_at,
    controller_of,
    epoch_result,
    finish,
    params_of,
    problem_of,
    study_at,
)
from tests.support.processes import call, run
from tests.support.studies import agree, search_arguments, states

MEMORY = TrialOutcome("FAIL", "out of memory (2 times)")
DIVERGED = TrialOutcome("FAIL", "diverged: loss is nan in epoch 1")


@pytest.fixture(params=["journal", "database"])
def url(request, tmp_path):
    return None if request.param == "journal" else f"sqlite:///{tmp_path / 'study.db'}"


def fail(place, url, *outcomes, epochs=0):
    """Let the first trials of a study fail after so many epochs; return their parameters."""
    controller = controller_of(study_at(place, storage=url), problem_of())
    params = []
    for outcome in outcomes:
        request = controller.ask()
        params.append(params_of(controller, request))
        for epoch in range(1, epochs + 1):
            controller.report(request.number, epoch_result(epoch, 0.3))
        controller.tell(request.number, outcome)
    return params


def reopened(place, url):
    def load():
        storage = open_storage(url, place)
        return StudyRecord(optuna.load_study(study_name="s", storage=storage))

    return failures.reopen(study_at(place, storage=url), load)


def again(place, url, trials=4):
    """Return the controller of a session with --retry-failed, and who is tried again."""
    (record, numbers), problem = reopened(place, url), problem_of()
    controller = StudyController(
        record.study,
        problem,
        pruners.build("none", EPOCHS),
        samplers.factory("tpe", 0, problem.space),
        SampledQueue(record.study, trials),
    )
    controller.try_again(numbers)
    controller.requeue_orphans()
    return controller, numbers


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_dead_study_lives_on_under_the_numbers_of_its_failures(tmp_path, url, epochs):
    params = fail(tmp_path, url, MEMORY, MEMORY, MEMORY, epochs=epochs)
    dead = controller_of(study_at(tmp_path, storage=url), problem_of())
    assert dead.hopeless and dead.ask() is None
    controller, numbers = again(tmp_path, url)
    assert numbers == (0, 1, 2) and not controller.hopeless
    requests = [controller.ask() for _ in range(4)]
    assert [request.number for request in requests] == [0, 1, 2, 3]
    assert [request.resume_epoch for request in requests] == [epochs] * 3 + [0]
    assert [params_of(controller, request) for request in requests[:3]] == params
    for request in requests:
        assert finish(controller, request).state == "COMPLETE"
    trials = controller.record.trials()
    assert [trial.state for trial in trials] == ["COMPLETE"] * 4
    assert [trial.retries for trial in trials[:3]] == [[f"{BY_HAND}{MEMORY.reason}"]] * 3
    assert not controller.record.trial(0).reason


def test_a_run_that_diverged_is_left_as_it_is(tmp_path, url):
    fail(tmp_path, url, DIVERGED, MEMORY)
    controller, numbers = again(tmp_path, url)
    assert numbers == (1,)
    assert [trial.state for trial in controller.record.trials()] == ["FAIL", "WAITING"]
    assert controller.record.trial(0).reason == DIVERGED.reason


def test_where_nothing_failed_nothing_changes(tmp_path, url):
    controller = controller_of(study_at(tmp_path, storage=url), problem_of())
    finish(controller, controller.ask())
    record, numbers = reopened(tmp_path, url)
    assert numbers == ()
    assert [trial.state for trial in record.trials()] == ["COMPLETE"]


def test_a_kill_before_they_are_put_back_leaves_the_failures_that_they_were(tmp_path, url):
    fail(tmp_path, url, MEMORY, epochs=1)
    record, _ = reopened(tmp_path, url)
    assert [trial.state for trial in record.trials()] == ["RUNNING"]
    next_one = controller_of(study_at(tmp_path, storage=url), problem_of())
    (trial,) = next_one.record.trials()
    assert (trial.state, trial.outcome) == ("FAIL", MEMORY)


def test_another_study_in_the_same_journal_keeps_its_failures(tmp_path):
    shared = str(tmp_path / "shared.log")
    fail(tmp_path, shared, MEMORY)
    storage = open_storage(shared, tmp_path)
    other = optuna.create_study(study_name="other", storage=storage)
    other.tell(other.ask(), state=optuna.trial.TrialState.FAIL)
    controller, _ = again(tmp_path, shared)
    assert [trial.state for trial in controller.record.trials()] == ["WAITING"]
    known = optuna.load_study(study_name="other", storage=open_storage(shared, tmp_path))
    assert [trial.state.name for trial in known.trials] == ["FAIL"]


def test_after_a_try_by_hand_a_dead_worker_counts_anew(tmp_path):
    controller = controller_at(tmp_path)
    request = controller.ask()
    for _ in range(3):
        assert controller.retry(request.number, DIED) is None
        controller.ask()
    controller.tell(request.number, controller.retry(request.number, DIED))
    controller, _ = again(tmp_path, None)
    controller.ask()
    assert controller.retry(0, DIED) is None


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_the_imagined_machine_goes_on_with_more_of_them_than_it_has_places(tmp_path, count):
    record, problem = study_at(tmp_path), problem_of()
    controller = controller_of(record, problem, 8, sampler="random")
    for _ in range(count):
        controller.tell(controller.ask().number, MEMORY)
        if controller.hopeless:  # a study begun by hand
            controller.record.enqueue({"alpha": 1.0, "beta": 1.0, "epsilon_ratio": 1.0}, "x")
            break
    controller, _ = again(tmp_path, None, trials=8)
    for _ in range(2):  # a kill and the next session
        order = Lockstep(controller, 2)
        while (request := order.suggest()) is not None:
            for epoch in range(request.resume_epoch + 1, EPOCHS + 1):
                order.take(request.number, epoch_result(epoch, 0.5))
        controller = controller_of(study_at(tmp_path), problem, 8, sampler="random")
    assert {trial.state for trial in controller.record.trials()} == {"COMPLETE"}


def test_the_reasons_are_told_with_the_most_frequent_first(tmp_path, url):
    fail(tmp_path, url, DIVERGED, MEMORY)
    found = failures.failed(study_at(tmp_path, storage=url))
    said = failures.in_words(found)
    assert said.startswith("2 trials failed (") and said.endswith(", and 1 other reason)")
    assert failures.in_words(found[1:]) == "1 trial failed (out of memory (2 times))"


@pytest.mark.process(seconds=12)
def test_a_search_whose_cause_is_mended_is_typed_again_with_the_option(tmp_path, cluster):
    """A plug-in fails while a file is there, as by a lack of memory."""
    losses, cause = tmp_path / "mine" / "losses", tmp_path / "cause"
    losses.mkdir(parents=True)
    (losses / "mine.py").write_text(
        "import os\n\nfrom torch.nn import functional as F\n\n"
        "from regmix.interfaces import LossInputs\nfrom regmix.ranges import NonNegative\n\n\n"
        "def inputs(*, weight):\n    return LossInputs(False, False)\n\n\n"
        "def mine(final, initial, clean, target, *, weight: NonNegative = 1.0):\n"
        f"    if os.path.exists({str(cause)!r}):\n"
        "        raise MemoryError('all of it is taken')\n"
        "    return weight * F.cross_entropy(final, target)\n"
    )
    space = tmp_path / "mine.yaml"
    space.write_text("loss: mine\nsearch:\n  weight: {float: [0.5, 2]}\n")
    more = ("--space", space, "--plugins", tmp_path / "mine", "--study", "wamr-digits", *cluster)
    typed = search_arguments(tmp_path, *more, trials=1, epochs=2)
    cause.touch()
    first = run("search", *typed)
    assert first.code == 1, first.out + first.err
    assert "--retry-failed tries them again" in first.err and "no trial ended well" in first.err
    assert "confirm.py" not in first.out and "export.py" not in first.out
    same = call("search", *typed)
    assert same.code == 1 and "--retry-failed tries them again" in same.err
    cause.unlink()
    mended = run("search", "--retry-failed", *typed)
    assert mended.code == 0, mended.out + mended.err
    assert "wamr-digits: trial 0 failed and will be tried again" in mended.out
    assert [trial.state for trial in agree(tmp_path, mended.out).values()] == ["COMPLETE"]
    again_typed = call("search", "--retry-failed", *typed)
    assert again_typed.code == 0 and "no trial failed that could end otherwise" in again_typed.out
    assert len(states(tmp_path)) == 1
