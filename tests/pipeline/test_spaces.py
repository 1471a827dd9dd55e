"""Every space with every recipe: loads, samples a hundred times, and builds its configurations."""

import optuna
import pytest

from pipeline.problem.problem import RECIPES, SPACES, SearchProblem
from pipeline.problem.space import Choice, Float, Int, SearchSpace
from regmix import registry
from regmix.config import TASK, TrainConfig

NAMES = sorted(path.stem for path in SPACES.glob("*.yaml"))
TASKS = sorted(path.stem for path in RECIPES.glob("*.yaml"))


@pytest.mark.parametrize("recipe", TASKS)
@pytest.mark.parametrize("space", NAMES)
def test_a_hundred_samples_give_a_hundred_runs_of_the_same_task(space, recipe):
    problem = SearchProblem.load(space, recipe, {})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    configs = [problem.config(problem.space.suggest(study.ask())) for _ in range(100)]
    assert len({tuple(config.flat().items()) for config in configs}) == 100
    tasks = {tuple((k, v) for k, v in config.flat().items() if k in TASK) for config in configs}
    assert len(tasks) == 1
    assert all(TrainConfig.from_flat(config.flat()) == config for config in configs)


@pytest.mark.parametrize("recipe", TASKS)
@pytest.mark.parametrize("space", NAMES)
def test_the_recipes_own_values_lie_inside_the_space(space, recipe):
    problem = SearchProblem.load(space, recipe, {})
    own = problem.config({}).flat()
    assert problem.default() == {name: own[name] for name in problem.space.ranges}


@pytest.mark.parametrize(
    ("space", "loss", "searched", "fixed"),
    [
        ("wamr", "regmix", {"alpha", "beta", "epsilon_ratio"}, {"gamma": 0}),
        ("agr", "regmix", {"gamma", "epsilon_ratio"}, {"alpha": 0, "beta": 0}),
        (
            "regmix",
            "regmix",
            {"alpha", "beta", "gamma", "epsilon_ratio", "true_class_mass", "lr", "weight_decay"},
            {},
        ),
        ("mse", "mse", {"mse_weight", "epsilon_ratio"}, {}),
        ("plain", "plain", {"epsilon_ratio", "true_class_mass"}, {}),
        ("trades", "trades", {"trades_weight", "epsilon_ratio"}, {}),
        ("mart", "mart", {"mart_weight", "epsilon_ratio"}, {}),
        ("logit_pairing", "logit_pairing", {"pairing_weight", "epsilon_ratio"}, {}),
        (
            "dkl",
            "dkl",
            {"dkl_mse_weight", "dkl_ce_weight", "epsilon_ratio"},
            {"mse_flow": "both"},
        ),
    ],
)
def test_each_space_searches_what_it_is_named_after(space, loss, searched, fixed):
    found = SearchSpace.from_yaml(SPACES / f"{space}.yaml")
    assert (found.loss, set(found.ranges), dict(found.fixed)) == (loss, searched, fixed)


def test_the_three_kinds_of_range_are_read(tmp_path):
    text = "search:\n  lr: {float: [1e-3, 8/10], log: true}\n  batch_size: {int: [16, 64]}\n"
    path = tmp_path / "mine.yaml"
    path.write_text(text + "  reduction: {choice: [batchmean, elementmean]}\n")
    ranges = SearchSpace.from_yaml(path).ranges
    assert ranges["lr"] == Float(1e-3, 0.8, log=True)
    assert ranges["batch_size"] == Int(16, 64)
    assert ranges["reduction"] == Choice(("batchmean", "elementmean"))


def test_what_is_set_by_hand_is_stronger_than_the_recipe_and_weaker_than_nothing_else():
    problem = SearchProblem.load("wamr", "digits", {"width": "8", "eval_epsilon": "8/255"})
    config = problem.config({"alpha": 2.0})
    assert config.model.options["width"] == 8
    assert config.eval_epsilon == 8 / 255
    assert (config.loss.options["alpha"], config.loss.options["gamma"]) == (2.0, 0.0)
    assert problem.with_seed(7).config({}).seed == 7
    assert SearchProblem.load("wamr", "digits", {"seed": "3"}).with_seed(7).config({}).seed == 3


def test_training_epsilon_is_searched_and_evaluation_epsilon_never():
    problem = SearchProblem.load("wamr", "digits", {})
    weak, strong = (problem.config({"epsilon_ratio": ratio}) for ratio in (0.5, 1.5))
    assert weak.eval_epsilon == strong.eval_epsilon == 0.25
    assert (weak.train_epsilon, strong.train_epsilon) == (0.125, 0.375)


def test_options_of_every_kind_have_names_of_their_own():
    for kind in registry.KINDS:
        for name in registry.names(kind):
            assert not registry.options(kind, name).keys() & set(registry.KINDS)
