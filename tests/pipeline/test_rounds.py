"""The rounds of a race: a queue of trials over a real study, with kills."""

import numpy as np
import pytest

from pipeline import pruners, samplers
from pipeline.race.rounds import (
    RaceProblem,
    RoundQueue,
    median_run,
    survivors,
)
from pipeline.race.share import RoundLimit, judged_images
from pipeline.study import failures
from pipeline.study.budget import Pace, TimeBudget
from pipeline.study.controller import StudyController
from pipeline.study.effort import Trainings
from pipeline.study.events import TrialOutcome
from pipeline.study.result_order import Lockstep, settle
from regmix.evaluation.results import FinalEvaluation, pack, unpack
from tests.support.controllers import (
    epoch_result,
    kill_at_write,
    no_masking,
    params_of,
    problem_of,
    study_at,
)

IMAGES = 400


def race_at(place, seeds, finalists=(0, 3, 5), again=None, most=None, task=None, **limits):
    """Return the controller of a race in this folder, as a driver has it once it has begun.

    again: function that opens failed trainings again, of the race's record and what loads it.
    task: changes of the task.
    most: trainings that the race may take; None for no limit, unless `limits` has others.
    """
    clock = TimeBudget(earlier=Pace(epochs=1, seconds=10.0, ends=1, end_seconds=10.0))
    trainings, limit = None if most is None else Trainings(most, 1), None
    if most is not None or limits:
        limit = RoundLimit(1, clock, trainings, **limits)
    config = problem_of(epochs=1, **(task or {})).config({})
    problem = RaceProblem("s", "digits", dict.fromkeys(finalists, config))
    study = study_at(place, problem)
    study, numbers = again(study, lambda: study_at(place, problem)) if again else (study, ())
    controller = StudyController(
        study.study,
        problem,
        pruners.build("none", 1),
        samplers.factory("random", 0, problem.space),
        RoundQueue(study, range(1, 1 + seeds), finalists, reference=0, task=config, limit=limit),
        clock,
        trainings,
    )
    controller.try_again(numbers)
    controller.requeue_orphans()
    return controller


def outcomes(robust, seed, count=IMAGES):
    """The easiest images survive, but for a few that another seed loses."""
    bits = np.arange(count) < robust * count
    bits[np.random.default_rng(seed).integers(0, count, 8)] ^= True
    return bits


def train(controller, request, robust):
    """Report the one epoch of a training, and tell its end."""
    count = request.config.final_images
    bits = outcomes(robust, request.config.seed, count).tolist()
    final = FinalEvaluation(sum(bits), len(bits), no_masking(), pack(bits))
    assert settle(controller, request.number, epoch_result(1, robust, final=final))


def finalist(controller, request):
    return params_of(controller, request)["finalist"]


def waiting(controller):
    return [trial for trial in controller.record.trials() if trial.state == "WAITING"]


def test_a_round_ends_before_the_next_begins_and_the_eliminated_drops_out(tmp_path):
    worth = {0: 0.5, 3: 0.55, 5: 0.2}
    race = race_at(tmp_path, seeds=2)
    first = [race.ask() for _ in range(3)]
    assert sorted(finalist(race, request) for request in first) == [0, 3, 5]
    assert race.ask() is None  # others of the round run
    for request in first[:2]:
        train(race, request, worth[finalist(race, request)])
    assert race.ask() is None
    living = race_at(tmp_path, seeds=2)  # the driver died here
    left = living.ask()
    assert left.number == first[2].number
    train(living, left, worth[finalist(living, left)])
    second = [living.ask() for _ in range(3)]
    assert [request and finalist(living, request) for request in second] == [0, 3, None]
    assert living.record.eliminated.keys() == {5}
    for request in second[:2]:
        train(living, request, worth[finalist(living, request)])
    assert living.ask() is None
    runs = survivors(living.record)
    assert {name: set(seeds) for name, seeds in runs.items()} == {0: {1, 2}, 3: {1, 2}, 5: {1}}
    assert (runs[3][1] == outcomes(0.55, 1)).all()
    assert race_at(tmp_path, seeds=2).ask() is None
    more = race_at(tmp_path, seeds=3)  # a longer race leaves out who dropped out
    assert [finalist(more, more.ask()) for _ in range(2)] == [0, 3]


def rounds_of(race):
    """Return the finalists of each round."""
    found = {}
    for trial in race.record.trials():
        found.setdefault(trial.params["seed"], []).append(trial.params["finalist"])
    return found


def go_on(race, worth):
    """Train until nothing is left."""
    while (request := race.ask()) is not None:
        train(race, request, worth[finalist(race, request)])


WORTH = {0: 0.5, 3: 0.55, 5: 0.2}


def test_with_a_limit_rounds_go_on_while_one_fits_and_the_eliminated_leaves_seeds_to_others(
    tmp_path,
):
    race = race_at(tmp_path, 1000, most=8)
    assert race.queue.total is None
    go_on(race, WORTH)
    assert rounds_of(race) == {1: [0, 3, 5], 2: [0, 3], 3: [0, 3]}  # one is left of eight
    assert race.queue.empty()
    longer = race_at(tmp_path, 1000, most=9)
    go_on(longer, WORTH)
    assert rounds_of(longer)[4] == [0, 3]


def test_a_round_that_cannot_end_in_time_does_not_begin(tmp_path):
    """A training takes ten seconds, two run at once: a round of three twenty."""
    places = [tmp_path / name for name in "ab"]
    for place in places:
        place.mkdir()
    go_on(race := race_at(places[0], 1000, seconds=19.0, at_once=2), WORTH)
    assert race.record.trials() == []
    race = race_at(places[1], 1000, seconds=25.0, at_once=2)
    first = [race.ask() for _ in range(3)]
    assert all(first), "what has begun may end"
    race.budget.before = 10.0
    for request in first:
        train(race, request, 0.5)
    race.budget._own = Pace()
    assert race.ask() is None and rounds_of(race).keys() == {1}


def test_who_is_left_alone_races_nobody(tmp_path):
    race = race_at(tmp_path, 1000, finalists=(0, 5), most=9)
    go_on(race, WORTH)
    assert rounds_of(race) == {1: [0, 5]}


@pytest.mark.parametrize("workers", [1, 3])
def test_a_kill_at_any_write_of_a_race_in_lockstep_changes_nothing(tmp_path, workers):
    def run(place):
        place.mkdir(exist_ok=True)
        race = race_at(place, 1000, most=8)
        order = Lockstep(race, workers)
        while (request := order.suggest()) is not None:
            robust = WORTH[params_of(race, request)["finalist"]]
            bits = outcomes(robust, request.config.seed).tolist()
            final = FinalEvaluation(sum(bits), len(bits), no_masking(), pack(bits))
            order.take(request.number, epoch_result(1, robust, final=final))
        return [(t.state, t.params, t.frozen.value, t.start) for t in race.record.trials()]

    with kill_at_write(-1) as writes:
        expected = run(tmp_path / "whole")
    assert len(expected) == 7 and len(writes) > 40
    for number in range(0, len(writes), 11):
        place = tmp_path / str(number)
        with kill_at_write(number):
            run(place)
        assert run(place) == expected, number


def test_a_finalist_that_fails_drops_out_and_the_default_never(tmp_path):
    race = race_at(tmp_path, seeds=2)
    for request in [race.ask() for _ in range(3)]:
        if finalist(race, request) == 3:
            race.tell(request.number, TrialOutcome("FAIL", "diverged"))
        else:
            train(race, request, 0.1 if finalist(race, request) == 0 else 0.6)
    assert [finalist(race, race.ask()) for _ in range(2)] == [0, 5]
    assert race.record.eliminated == {3: "failed: diverged"}


def test_a_finalist_whose_failure_is_tried_again_catches_up_in_every_round(tmp_path):
    race = race_at(tmp_path, seeds=2)
    for request in [race.ask() for _ in range(3)]:
        if finalist(race, request) == 3:
            race.tell(request.number, TrialOutcome("FAIL", "out of memory (2 times)"))
        else:
            train(race, request, 0.6)
    for request in [race.ask() for _ in range(2)]:
        train(race, request, 0.6)
    assert race.ask() is None and race.record.eliminated.keys() == {3}

    def again(record, load):
        record, numbers = failures.reopen(record, load)
        record.readmit({record.trial(number).params["finalist"] for number in numbers})
        return record, numbers

    later = race_at(tmp_path, seeds=2, again=again)
    for seed in (1, 2):
        request = later.ask()
        assert (finalist(later, request), request.config.seed) == (3, seed)
        assert later.ask() is None  # the others have raced with this seed
        train(later, request, 0.6)
    assert later.ask() is None and later.record.eliminated == {}
    assert {name: len(runs) for name, runs in survivors(later.record).items()} == {0: 2, 3: 2, 5: 2}


def test_the_default_stays_in_the_race_after_a_failure(tmp_path):
    race = race_at(tmp_path, seeds=2)
    for request in [race.ask() for _ in range(3)]:
        if finalist(race, request) == 0:
            race.tell(request.number, TrialOutcome("FAIL", "diverged"))
        else:
            train(race, request, 0.6)
    assert [finalist(race, race.ask()) for _ in range(3)] == [0, 3, 5]
    assert race.record.eliminated == {}


def test_the_queue_of_a_race_is_a_round_and_no_more(tmp_path):
    race = race_at(tmp_path, seeds=2)
    assert race.queue.total == 6 and race.queue.empty()  # nothing is enqueued yet
    race.queue.refill()
    race.queue.refill()  # changes nothing
    first = waiting(race)
    assert len(first) == 3 and not race.queue.empty()
    assert [trial.origin for trial in first] == ["default", "trial 3", "trial 5"]
    requests = [race.ask() for _ in range(3)]
    assert race.queue.empty()
    for request in requests:
        assert not waiting(race)
        train(race, request, 0.5)
        race.queue.refill()
    assert len(waiting(race)) == 3
    assert {race.ask().config.seed for _ in range(3)} == {2}


def test_a_kill_while_a_round_is_enqueued_enqueues_no_training_twice(tmp_path):
    race = race_at(tmp_path, seeds=1)
    race.record.enqueue({"finalist": 0, "seed": 1, "images": IMAGES}, "default")  # and a kill
    living = race_at(tmp_path, seeds=1)
    asked = [living.ask() for _ in range(4)]
    assert [request and finalist(living, request) for request in asked] == [0, 3, 5, None]


def test_a_kill_in_place_of_any_write_trains_each_finalist_once_with_each_seed(tmp_path):
    def lived(place, killed_at):
        place.mkdir()
        with kill_at_write(killed_at) as writes:
            run(place)
        return len(writes), run(place)

    def run(place):
        race = race_at(place, seeds=2)
        while request := race.ask():
            train(race, request, 0.5)
        return sorted((t.params["finalist"], t.params["seed"]) for t in race.record.trials())

    expected = [(number, seed) for number in (0, 3, 5) for seed in (1, 2)]
    writes, undisturbed = lived(tmp_path / "undisturbed", -1)
    assert undisturbed == expected
    for moment in range(writes):
        assert lived(tmp_path / str(moment), moment)[1] == expected, f"write {moment}"


def test_who_dropped_out_is_decided_once(tmp_path):
    """The round's end is stored, so that a longer race later does not judge it anew."""
    race = race_at(tmp_path, seeds=2)
    for request in [race.ask() for _ in range(3)]:
        train(race, request, {0: 0.5, 3: 0.55, 5: 0.2}[finalist(race, request)])
    race.queue.refill()
    assert race.record.round_is_over(1)
    reasons = dict(race.record.eliminated)
    again = race_at(tmp_path, seeds=4)
    again.queue.refill()
    assert dict(again.record.eliminated) == reasons
    assert "behind after 1 seed:" in reasons[5]


def test_a_finalist_is_trained_as_it_was_found_but_for_seed_and_judgement(tmp_path):
    race = race_at(tmp_path, seeds=1)
    config = problem_of(epochs=1).config({}).flat()
    own = {"seed": 1, "judgement": "finalist", "judged_images": IMAGES}
    assert race.ask().config.flat() == {**config, **own}


def test_many_are_judged_by_some_of_the_images_and_the_last_few_by_all(tmp_path):
    worth = {0: 0.6, 2: 0.2, 3: 0.6, 5: 0.6}
    task = {"valid_images": 100, "finalist_images": 700}
    race = race_at(tmp_path, seeds=2, finalists=tuple(worth), task=task)
    first = [race.ask() for _ in worth]
    assert {request.config.final_images for request in first} == {400}
    for request in first[:-1]:
        train(race, request, worth[finalist(race, request)])
    living = race_at(tmp_path, seeds=2, finalists=tuple(worth), task=task)  # the driver died here
    left = living.ask()
    assert left.config == first[-1].config
    train(living, left, worth[finalist(living, left)])
    second = [living.ask() for _ in range(3)]
    assert living.record.eliminated.keys() == {2}
    assert {request.config.final_images for request in second} == {700}
    assert all(request.config.split_seed == left.config.split_seed for request in second)
    for request in second:
        train(living, request, worth[finalist(living, request)])
    counts = {len(one) for runs in survivors(living.record).values() for one in runs.values()}
    assert counts == {400, 700}


@pytest.mark.parametrize(
    ("racing", "held_out", "expected"), [(3, 5000, 5000), (4, 5000, 1600), (4, 1500, 1500)]
)
def test_a_round_is_judged_by_no_more_images_than_there_are(racing, held_out, expected):
    task = problem_of(valid_images=400, finalist_images=held_out).config({})
    assert judged_images(task, racing) == expected


def test_the_median_run_is_the_one_in_the_middle(tmp_path):
    race = race_at(tmp_path, seeds=3, finalists=(0, 3))
    values = {(0, 1): 0.5, (0, 2): 0.6, (0, 3): 0.55, (3, 1): 0.5, (3, 2): 0.5, (3, 3): 0.5}
    for _ in range(6):
        request = race.ask()
        train(race, request, values[finalist(race, request), request.config.seed])
    assert median_run(race.record, 0).params["seed"] == 3


def test_bits_come_back_as_they_were():
    generator = np.random.default_rng(0)
    for count in (1, 3, 4, 5, 8, 400, 1001):
        bits = (generator.random(count) < 0.5).tolist()
        assert unpack(pack(bits), count) == bits
    assert len(pack([False] * 400)) == 100
