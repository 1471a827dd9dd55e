"""The rounds of a race on a real study."""

import numpy as np
from pipeline.race.controller import RaceController, RaceProblem, dropped, median_run, outcomes

from pipeline import pruners
from pipeline.problem.problem import SearchProblem
from regmix.evaluation.results import FinalEvaluation, Masking, pack, unpack
from tests.support.controllers import MACHINE, metrics, study_at


def raced(place, seeds, finalists=(0, 3, 5)):
    flat = SearchProblem.load("wamr", "digits", {"epochs": 1}).config({})
    bridge = RaceController(
        study_at(place),
        RaceProblem("s", "digits", dict.fromkeys(finalists, flat), ("alpha",)),
        pruners.build("none", 1),
        "random",
        0,
        trials=0,
        seeds=tuple(range(1, 1 + seeds)),
        reference=0,
        finalists=finalists,
    )
    bridge.recover()
    return bridge


def survivors(robust, seed, images=400):
    """The easiest images survive, but for a few that another seed loses."""
    bits = np.arange(images) < robust * images
    bits[np.random.default_rng(seed).integers(0, images, 8)] ^= True
    return bits


def tell(bridge, request, robust):
    number, seed = request.number, request.config.seed
    bits = survivors(robust, seed).tolist()
    found = Masking(**dict.fromkeys(Masking.__dataclass_fields__, 0.0))
    judged = FinalEvaluation(sum(bits), len(bits), found, pack(bits))
    told = metrics(1, robust, last=1, judged=0.0)
    told = type(told)(**{**told.__dict__, "final": judged})
    bridge.tell(number, bridge.report(number, told, MACHINE))


def finalist(bridge, request):
    return bridge.frozen(request.number).params["finalist"]


def test_a_round_ends_before_the_next_begins_and_the_hopeless_drops_out(tmp_path):
    worth = {0: 0.5, 3: 0.55, 5: 0.2}
    bridge = raced(tmp_path, seeds=2)
    first = [bridge.ask() for _ in range(3)]
    assert sorted(finalist(bridge, r) for r in first) == [0, 3, 5]
    assert bridge.ask() is None  # others of the round run
    for request in first[:2]:
        tell(bridge, request, worth[finalist(bridge, request)])
    assert bridge.ask() is None
    living = raced(tmp_path, seeds=2)  # the driver died here
    left = living.ask()
    assert left.number == first[2].number
    tell(living, left, worth[finalist(living, left)])
    second = [living.ask() for _ in range(3)]
    assert [r and finalist(living, r) for r in second] == [0, 3, None]
    assert dropped(living.study).keys() == {5}
    for request in second[:2]:
        tell(living, request, worth[finalist(living, request)])
    assert living.ask() is None
    runs = outcomes(living.study)
    assert {name: runs[name].shape for name in runs} == {0: (2, 400), 3: (2, 400), 5: (1, 400)}
    assert (runs[3][0] == survivors(0.55, 1)).all()
    assert raced(tmp_path, seeds=2).ask() is None
    more = raced(tmp_path, seeds=3)  # a longer race leaves out who dropped out
    assert [finalist(more, more.ask()) for _ in range(2)] == [0, 3]


def test_a_finalist_that_fails_drops_out_and_the_default_never(tmp_path):
    from pipeline.study.events import TrialOutcome

    bridge = raced(tmp_path, seeds=2)
    for request in [bridge.ask() for _ in range(3)]:
        if finalist(bridge, request) == 3:
            bridge.tell(request.number, TrialOutcome("FAIL", "diverged"))
        else:
            tell(bridge, request, 0.1 if finalist(bridge, request) == 0 else 0.6)
    assert [finalist(bridge, bridge.ask()) for _ in range(2)] == [0, 5]
    assert dropped(bridge.study) == {3: "failed: diverged"}


def test_the_median_run_is_the_one_in_the_middle(tmp_path):
    bridge = raced(tmp_path, seeds=3, finalists=(0, 3))
    values = {(0, 1): 0.5, (0, 2): 0.6, (0, 3): 0.55, (3, 1): 0.5, (3, 2): 0.5, (3, 3): 0.5}
    for _ in range(6):
        request = bridge.ask()
        tell(bridge, request, values[finalist(bridge, request), request.config.seed])
    assert median_run(bridge.study, 0).params["seed"] == 3


def test_bits_come_back_as_they_were():
    generator = np.random.default_rng(0)
    for count in (1, 3, 4, 5, 8, 400, 1001):
        bits = (generator.random(count) < 0.5).tolist()
        assert unpack(pack(bits), count) == bits
    assert len(pack([False] * 400)) == 100
