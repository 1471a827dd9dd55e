"""What the recipes say, held against the lineage's published settings."""

import pytest

from pipeline.problem.problem import RECIPES, SearchProblem

# FGSM-PGI's code; mse_weight is its lambda, and reset_interval differs between the data sets
LINEAGE = {
    "attack": "fgsm",
    "eval_epsilon": 8 / 255,
    "epochs": 110,
    "batch_size": 128,
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "schedule": "multistep",
    "true_class_mass": 0.6,
    "momentum_decay": 0.3,
    "initialization": "history",
    "mse_weight": 10.0,
    "precision": "tf32",
}
AVERAGED = {"averaging_decay": 0.999}  # FGSM-PGK's


def flat(recipe, space="mse"):
    return SearchProblem.load(space, recipe, {}).config({}).flat()


@pytest.mark.parametrize(
    ("recipe", "own"),
    [
        ("cifar10", {"model": "resnet18", "augment": "crop_flip", "reset_interval": 40}),
        ("cifar100", {"model": "resnet18", "augment": "crop_flip", "reset_interval": 10}),
        ("tinyimagenet", {"model": "preactresnet18", "augment": "none", "reset_interval": 10}),
    ],
)
def test_a_paper_recipe_has_the_lineages_settings(recipe, own):
    expected = {"data": recipe, **LINEAGE, **AVERAGED, **own}
    said = flat(f"{recipe}-paper")
    assert {name: said[name] for name in expected} == expected


@pytest.mark.parametrize("recipe", ["cifar10", "cifar100", "tinyimagenet"])
def test_a_short_recipe_differs_from_its_paper_in_length_alone(recipe):
    short, paper = flat(recipe), flat(f"{recipe}-paper")
    differing = {name for name in short if short[name] != paper[name]}
    assert differing <= {"epochs", "reset_interval"}
    assert (short["epochs"], short["reset_interval"]) == (30, 10)


def test_the_two_networks_on_cifar10_differ_in_nothing_else():
    one, other = flat("cifar10", "regmix"), flat("cifar10-preact", "regmix")
    assert {name for name in one if one[name] != other[name]} == {"model"}


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_more_classes_begin_with_smaller_weights(path):
    said = flat(path.stem, "regmix")
    weights = tuple(said[name] for name in ("alpha", "beta", "gamma"))
    many = {"cifar100", "tinyimagenet"}
    expected = {"digits": (1, 0.3, 0.3)} | dict.fromkeys(many, (1.5, 0.5, 1))
    assert weights == expected.get(str(said["data"]), (5, 1, 1))
