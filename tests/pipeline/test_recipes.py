"""What the recipes say, held against the lineage's published settings."""

from statistics import NormalDist

import pytest

from pipeline.base.paths import ROOT
from pipeline.problem.problem import RECIPES, Recipe, SearchProblem
from regmix.errors import InputError

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


EVERY = pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
# What is published for each loss, with what comes with it; the spaces that start there.
OWN_LOSSES = {path.stem for path in (ROOT / "regmix" / "losses").glob("[!_]*.py")}
PUBLISHED = {
    "mse": {"mse_weight": 10.0, "true_class_mass": 0.6},
    "plain": {"true_class_mass": 0.6},
    "trades": {"trades_weight": 6.0, "true_class_mass": 1.0},
    "mart": {"mart_weight": 5.0, "true_class_mass": 1.0},
    "dkl": {"dkl_ce_weight": 4.0, "dkl_mse_weight": 20.0, "true_class_mass": 1.0},
    "logit_pairing": {"pairing_weight": 0.5, "true_class_mass": 1.0},
}


@EVERY
def test_more_classes_begin_with_smaller_weights(path):
    said = flat(path.stem, "regmix")
    weights = tuple(said[name] for name in ("alpha", "beta", "gamma"))
    many = {"cifar100", "tinyimagenet"}
    assert weights == ((1.5, 0.5, 1) if said["data"] in many else (5, 1, 1))


@EVERY
def test_the_method_starts_as_the_lineage_published_it_on_every_task(path):
    carried = {"averaging_decay": 0.999, "averaging_rule": "growing", "epsilon_ratio": 1.0}
    lineage = ("true_class_mass", "momentum_decay", "momentum", "weight_decay", "initialization")
    expected = carried | {name: LINEAGE[name] for name in lineage}
    for space in ("mse", "regmix", "wamr", "agr"):
        said = flat(path.stem, space)
        assert {name: said[name] for name in expected} == expected


@EVERY
@pytest.mark.parametrize("space", PUBLISHED)
def test_each_loss_starts_with_what_is_published_for_it(path, space):
    said = flat(path.stem, space)
    assert {name: said[name] for name in PUBLISHED[space]} == PUBLISHED[space]
    assert set(Recipe.from_yaml(path).losses) == OWN_LOSSES - {"plain"}


def test_a_loss_brings_settings_of_the_trainer_but_none_of_the_task(tmp_path):
    text = (RECIPES / "digits.yaml").read_text()
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("pairing_weight: 0.5", "weight_decay: 0.25"))
    assert flat(str(path), "logit_pairing")["weight_decay"] == 0.25
    assert flat(str(path), "regmix")["weight_decay"] == 5e-4
    path.write_text(text.replace("pairing_weight: 0.5", "epochs: 3"))
    with pytest.raises(InputError, match=r"losses: logit_pairing: unknown option 'epochs'"):
        flat(str(path), "regmix")


def needed(points, disagreement):
    """Images by which the better of two networks has more right with probability .9.

    The difference of their shares is normal with mean `points` and variance disagreement / n.
    """
    return (NormalDist().inv_cdf(0.9) / points) ** 2 * disagreement


@EVERY
def test_there_are_as_many_images_to_choose_by_as_the_recipe_says_that_it_sees(path):
    said, text = flat(path.stem), path.read_text()
    points, most = {
        "digits": (0.02, 0.09), "cifar10": (0.01, 0.12), "cifar100": (0.01, 0.12),
        "tinyimagenet": (0.01, 0.24),
    }[str(said["data"])]  # fmt: skip
    assert said["valid_images"] >= needed(points, most)
    assert f"{'one point' if points == 0.01 else 'two points'} apart with probability .9" in text
    assert f"at most {100 * most:.0f} %" in " ".join(text.replace("#", "").split())
    assert [round(needed(0.01, share)) for share in (0.05, 0.08, 0.12)] == [821, 1314, 1971]
