"""A study begun from earlier ones: what it copies, tries first, and keeps to."""

import shutil

import numpy as np
import pytest

from pipeline.forecast.curves import MOST, curves_of
from pipeline.forecast.decision import forecast
from pipeline.forecast.sources import copied
from pipeline.forecast.transfer import sources_of
from pipeline.study.copied_study import CopiedStudy
from pipeline.study.warm_start import enqueue_sources
from regmix.errors import InputError
from tests.support.controllers import (
    EPOCHS,
    controller_at,
    epoch_result,
    finish,
    params_of,
    problem_of,
    study_at,
)
from tests.support.processes import call
from tests.support.studies import search_arguments

SPACE = problem_of().space


def worth(params):
    """Robust accuracy of a configuration: best at alpha 2, beta 4."""
    far = np.log(params["alpha"] / 2) ** 2 + np.log(params["beta"] / 4) ** 2
    return float(0.6 - 0.1 * far / (1 + 0.2 * far))


def searched(place, trials=12, value=worth):
    """Return the study of a finished random search."""
    place.mkdir()
    controller = controller_at(place, trials, sampler="random")
    while (request := controller.ask()) is not None:
        finish(controller, request, value(params_of(controller, request)))
    return controller.record


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return searched(tmp_path_factory.mktemp("source") / "s")


def begun(place, sources, trials=30, **options):
    """Return the controller of a study that begins from others."""
    place.mkdir(exist_ok=True)
    controller = controller_at(place, trials, **options)
    if not controller.record.has_begun_from:
        controller.record.begin_from(copied(sources, SPACE, 32, problem_of().default()))
    enqueue_sources(controller.record, SPACE)
    return controller


def test_the_best_few_follow_the_default_apart_and_say_where_they_came_from(source, tmp_path):
    controller = begun(tmp_path, [source])
    enqueue_sources(controller.record, SPACE)  # the next session
    asked = [controller.record.trial(controller.ask().number) for _ in range(6)]
    assert asked[0].is_default
    best = max(source.trials()[1:], key=lambda trial: trial.final_robust)
    given = [trial for trial in asked if trial.origin.startswith("from ")]
    assert given == asked[1:5]  # the source's default is no news
    assert given[0].origin == f"from s trial {best.number}"
    assert given[0].params == best.params
    points = curves_of(controller.study).coordinates
    shares = [points.shares(trial.params) for trial in given]
    apart = [np.linalg.norm(a - b) for k, a in enumerate(shares) for b in shares[:k]]
    assert min(apart) >= 0.1 * 3**0.5
    assert asked[5].origin == "sampled"


@pytest.mark.parametrize(("trainings", "few"), [(3, 1), (20, 2), (32, 4), (200, 4), (None, 4)])
def test_a_small_budget_has_fewer_of_them(source, trainings, few):
    (copy,) = copied([source], SPACE, trainings)
    assert len(copy.first) == few


def test_several_sources_give_their_best_in_turn(source, tmp_path):
    other = searched(tmp_path / "other", value=lambda params: 1 - worth(params))
    copies = copied([source, other], SPACE, 32)
    assert [len(copy.first) for copy in copies] == [2, 2]
    best = max(other.trials(), key=lambda trial: trial.final_robust)
    assert copies[1].first[0][0] == best.number


def narrowed(**overrides):
    """Return the space with a range of alpha in which few values of the wide one lie."""
    problem = problem_of()
    ranges = {**problem.space.ranges, **overrides}
    return type(problem.space)("wamr", "regmix", problem.space.fixed, ranges, "narrow.yaml")


def test_what_lies_outside_is_moved_for_a_first_trial_and_left_out_of_the_model(source, tmp_path):
    alpha = type(SPACE.ranges["alpha"])(10.0, 20.0, log=True)
    space = narrowed(alpha=alpha)
    (copy,) = copied([source], space, 20)
    place = list(copy.names).index("alpha")
    assert all(10 <= trial.params[place] <= 20 for trial in copy.trials)
    assert len(copy.trials) < len(source.trials())
    record = study_at(tmp_path)
    record.begin_from([copy])
    enqueue_sources(record, space)
    first = record.trials()[0]
    own = dict(zip(copy.names, copy.first[0][1], strict=True))["alpha"]
    assert own < 10 and first.moved["alpha"] == (own, 10.0)
    assert first.origin.startswith(f"from s trial {copy.first[0][0]}, nearest: alpha {own:.3g} ->")
    assert not first.is_default


def test_a_parameter_that_the_source_lacks_is_named(source):
    space = narrowed(focus=SPACE.ranges["alpha"])
    with pytest.raises(InputError, match="--from s: has no focus, which wamr searches; name a"):
        copied([source], space, 20)


def test_a_source_without_a_candidate_is_refused(tmp_path):
    controller = controller_at(tmp_path)
    controller.report(controller.ask().number, epoch_result(1, 0.5))
    with pytest.raises(InputError, match="--from s: no candidate is complete there"):
        copied([controller.record], SPACE, 20)


def test_a_copy_comes_back_from_its_text(source):
    (copy,) = copied([source], SPACE, 20)
    again = CopiedStudy.of(copy.text)
    assert again.text == copy.text and again.study == "s" and again.epochs == EPOCHS
    known = {trial.number: trial for trial in source.trials()}
    for trial in again.trials:
        own = known[trial.number]
        assert dict(zip(again.names, trial.params, strict=True)) == own.params
        assert dict(zip(trial.epochs, trial.values, strict=True)) == own.values
        assert trial.final == own.final_robust and not trial.worst


def test_other_sources_are_refused_and_none_is_as_it_was(source, tmp_path):
    record = begun(tmp_path, [source]).record
    record.compare("sources", {"--from": ["s"]})
    with pytest.raises(InputError, match="was begun with other sources"):
        record.compare("sources", {"--from": ["t"]})
    assert study_at(tmp_path).sources[0].text == record.sources[0].text


def test_looks_at_sources_leave_room_and_stay_below_the_limit(tmp_path):
    large = searched(tmp_path / "large", trials=150)
    controller = begun(tmp_path / "new", [large], sampler="random", trials=120)
    while (request := controller.ask()) is not None:
        finish(controller, request, worth(params_of(controller, request)))
    found = forecast(controller.study, (0,))
    assert found.seen.looks.study is not None
    counts = np.bincount(found.seen.looks.study[found.seen.looks.trial])
    assert counts.sum() <= MOST and counts[1] <= 60 and counts[0] > 200
    assert len(sources_of(controller.study).copies[0].trials) <= 80


def share(tmp_path, value, seed):
    """Return r of a source whose values are `value`, and what the model proposes."""
    source = searched(tmp_path / "source", trials=40, value=value)
    controller = begun(tmp_path / "new", [source], sampler="random", trials=14, seed=seed)
    while (request := controller.ask()) is not None:
        finish(controller, request, worth(params_of(controller, request)))
    found = [forecast(controller.study, (seed, k)) for k in range(12)]
    values = [worth(one.coordinates.params(one.most_promising())) for one in found]
    return found[0].process._hyper.shared[1], float(np.mean(values))


def test_a_misleading_source_is_left_out_and_one_that_tells_the_truth_is_believed(tmp_path):
    for name in ("true", "misleading"):
        (tmp_path / name).mkdir()
    true, well = share(tmp_path / "true", worth, 0)
    misleading, _ = share(tmp_path / "misleading", lambda params: 1 - worth(params), 0)
    assert true > 0.6 and misleading < 1e-6  # it is left out for good
    assert well > 0.55  # of 0.6 at the optimum


METHOD = {"pruner": "freeze", "sampler": "freeze"}


def history(place, sources, trials, *, reopened):
    """Return what a search does, one trial after another; opened anew before each, where so."""
    controller, found = begun(place, sources, trials, **METHOD), []
    while True:
        if reopened:
            controller = begun(place, (), trials, **METHOD)
        request = controller.ask()
        if request is None:
            return found
        params = params_of(controller, request)
        outcome = finish(controller, request, worth(params))
        found.append((params, outcome.state, outcome.reason))


def test_what_is_decided_is_the_same_after_each_kill_and_without_the_source(tmp_path):
    source = searched(tmp_path / "source")
    undisturbed = history(tmp_path / "one", [source], 22, reopened=False)
    begun(tmp_path / "two", [source], 22, **METHOD)
    shutil.rmtree(tmp_path / "source")
    assert history(tmp_path / "two", (), 22, reopened=True) == undisturbed
    cold = history(tmp_path / "cold", (), 22, reopened=False)
    assert cold[5:] != undisturbed[5:]  # the source does take part


def test_what_is_typed_wrongly_is_one_line(finished, tmp_path):
    runs = shutil.copytree(finished[0], tmp_path / "searched")
    typed = search_arguments(runs, "--study", "new")
    for more, said in (
        (("--from", "wamr-digit"), "--from: unknown study 'wamr-digit'; did you mean 'wamr-dig"),
        (("--from", "new"), "--from new: is the study itself; name an earlier one"),
        (("--from", "../new"), "--from: must be letters"),
        (
            ("--from", "wamr-digits", "--space", "trades"),
            "--from wamr-digits: has no trades_weight, which trades searches",
        ),
    ):
        assert said in call("search", *typed, *more).one_line
    assert not (runs / "studies" / "new").exists()
    again = search_arguments(runs, "--from", "other", trials=8)
    said = "--study wamr-digits: was begun with other sources"
    assert said in call("search", *again).one_line
