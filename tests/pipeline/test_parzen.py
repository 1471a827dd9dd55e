"""Our TPE draws what Optuna's own draws from a study that is read anew, to the bit."""

import copy

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as drawn
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.trial import TrialState, create_trial

from pipeline import samplers
from pipeline.samplers import _observations
from pipeline.samplers._observations import MOST, Observations
from pipeline.study.followed_storage import FollowedStorage
from tests.support.controllers import finish, problem_of
from tests.support.histories import Lines, begin, go, optunas_own, scanned, steps

SPACE = {
    "alpha": FloatDistribution(0.1, 20.0, log=True),
    "beta": FloatDistribution(0.02, 10.0, log=True),
    "epsilon_ratio": FloatDistribution(0.5, 1.5),
    "whole": IntDistribution(1, 9),
    "kind": CategoricalDistribution(["a", "b", "c"]),
}


def draws(sampler, study, trial, space=SPACE):
    """Return what a sampler draws for a trial, as Optuna asks it."""
    together = sampler.infer_relative_search_space(study, trial)
    found = sampler.sample_relative(study, trial, together)
    return found | {
        name: sampler.sample_independent(study, trial, name, one)
        for name, one in space.items()
        if name not in found
    }


def inner(resuming):
    """Return what a sampler draws with that goes on after a kill."""
    return resuming._inner


@settings(max_examples=12, deadline=None)
@given(history=steps, name=drawn.sampled_from(["bohb", "tpe"]), long=drawn.booleans())
def test_after_any_history_the_draws_are_those_of_optunas_own(history, name, long):
    journal, running = Lines(), {}
    driver = begin(journal, pruner="collapse+halving", sampler=name)
    if long:  # beyond the trials that are drawn at random
        _live_through(driver, 20)
    for step in history:
        driver = go(driver, step, running)
    request = driver.ask()
    if request is None:
        return
    study, plain = driver.study, scanned(journal).study
    for number in range(5):
        asked = study.get_trials(deepcopy=False)[request.number]
        ours = inner(samplers.factory(name, number, problem_of().space)(request.number))
        seed = int(np.random.SeedSequence([number, request.number]).generate_state(1)[0])
        assert draws(ours, study, asked) == draws(optunas_own(name, seed), plain, asked)


def _live_through(driver, trials):
    random = np.random.default_rng(trials)
    for _ in range(trials):
        request = driver.ask()
        finish(driver, request, round(float(random.uniform(0.1, 0.9)), 2))


@pytest.mark.parametrize("at_common", [False, True])
def test_the_model_of_the_others_keeps_the_latest(at_common, monkeypatch):
    monkeypatch.setattr(_observations, "MOST", 30)
    found = Observations(at_common, together=False)
    for number in range(100):
        value = 1.0 if number < 10 else 0.5
        trial = create_trial(
            value=value,
            params={"alpha": 1.0},
            distributions={"alpha": SPACE["alpha"]},
            intermediate_values={1: value},
        )
        trial.number = number
        found.put(trial)
    below, above = found.divided(100 - 1)
    assert list(below) == list(range(10))  # the best, however early
    assert list(above) == list(range(69, 99))  # the latest, without the trial itself


def test_below_250_trials_nothing_is_left_out():
    assert MOST == 250


def _some_trial(random, number):
    """Return an ended or running trial with any of the parameters, perhaps with a violation."""
    state = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING]
    state = state[random.integers(4)]
    names = [name for name in SPACE if random.uniform() < 0.9]
    epochs = {epoch: float(random.integers(4)) for epoch in range(1, 1 + random.integers(4))}
    if random.uniform() < 0.1 and epochs:
        epochs[max(epochs)] = float("nan")
    return create_trial(
        state=state,
        value=float(random.integers(4)) if state == TrialState.COMPLETE else None,
        params={name: VALUES[name](random) for name in names},
        distributions={name: SPACE[name] for name in names},
        intermediate_values=epochs,
        constraints={"clean": float(random.integers(-2, 3))} if number % 3 == 0 else {},
    )


VALUES = {
    "alpha": lambda random: float(random.uniform(0.1, 20)),
    "beta": lambda random: float(random.uniform(0.02, 10)),
    "epsilon_ratio": lambda random: float(random.uniform(0.5, 1.5)),
    "whole": lambda random: int(random.integers(1, 10)),
    "kind": lambda random: ["a", "b", "c"][random.integers(3)],
}


@pytest.mark.parametrize("seed", range(12))
def test_the_draws_are_optunas_own_for_every_kind_of_parameter_and_state(seed):
    random = np.random.default_rng(seed)
    lines = Lines()
    followed = FollowedStorage(JournalStorage(lines))
    study = optuna.create_study(study_name="s", storage=followed, direction="maximize")
    study.add_trials([_some_trial(random, number) for number in range(40 + 10 * seed)])
    study.ask()
    asked = study.get_trials(deepcopy=False)[-1]
    stream = int(np.random.SeedSequence([seed, asked.number]).generate_state(1)[0])
    for name in ("tpe",) if seed % 2 else ("tpe", "bohb"):
        ours = inner(samplers.factory(name, seed, problem_of().space)(asked.number))
        storage = JournalStorage(copy.deepcopy(lines))
        plain = optuna.load_study(study_name="s", storage=storage)
        try:
            expected = draws(optunas_own(name, stream), plain, asked)
        except ValueError:  # Optuna takes no NaN as a value
            continue
        assert draws(ours, study, asked) == expected
