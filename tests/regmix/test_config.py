import math
from dataclasses import FrozenInstanceError, replace
from itertools import product
from typing import Annotated, get_args, get_origin

import pytest

from regmix import registry
from regmix.config import TASK, TrainConfig, own_options
from regmix.errors import InputError
from tests.support.regmix.table import check_each

KINDS = {"data": "digits", "model": "small_cnn", "attack": "fgsm", "loss": "regmix"}
COMBINATIONS = [
    (dict(zip(registry.KINDS, chosen, strict=True)),)
    for chosen in product(*map(registry.names, registry.KINDS))
]


def is_number(annotation):
    arms = get_args(annotation) if type(None) in get_args(annotation) else (annotation,)
    return any(get_origin(arm) is Annotated for arm in arms)


NUMBERS = [name for name, option in own_options().items() if is_number(option.annotation)]


def test_variants_alone_take_every_default():
    config = TrainConfig.from_flat(KINDS)
    assert config.loss.name == "regmix"
    assert dict(config.loss.options)["alpha"] == registry.options("loss", "regmix")["alpha"].default
    assert {name: getattr(config, name) for name in own_options()} == {
        name: option.default for name, option in own_options().items()
    }


def test_flat_names_come_back_as_the_same_configuration():
    def check(chosen):
        config = TrainConfig.from_flat({**chosen, "lr": 0.05, "seed": 3, "train_images": 100})
        assert TrainConfig.from_flat(config.flat()) == config
        assert TrainConfig.from_flat({k: str(v) for k, v in config.flat().items()}) == config

    check_each(check, COMBINATIONS)


def test_flat_says_the_values_that_run_and_not_the_words_that_asked():
    flat = TrainConfig.from_flat({**KINDS, "eval_epsilon": "8/255", "alpha": "2", "width": "4"})
    assert flat.flat()["eval_epsilon"] == 8 / 255
    assert (flat.flat()["alpha"], flat.flat()["width"]) == (2.0, 4)


@pytest.mark.parametrize(
    ("changes", "held_out", "judged"),
    [
        ({}, 1000, 1000),
        ({"finalist_images": 3000}, 3000, 1000),
        ({"finalist_images": 3000, "judgement": "finalist"}, 3000, 3000),
        ({"finalist_images": 3000, "judgement": "finalist", "judged_images": 2000}, 3000, 2000),
        ({"finalist_images": 1000, "judged_images": 1000}, 1000, 1000),
    ],
    ids=str,
)
def test_finalists_are_judged_by_all_that_is_held_out_unless_said_otherwise(
    changes, held_out, judged
):
    config = TrainConfig.from_flat({**KINDS, **changes})
    assert (config.held_out_images, config.final_images) == (held_out, judged)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"finalist_images": 999}, "finalist_images must be at least valid_images = 1000"),
        ({"judged_images": 1001}, "judged_images must lie between valid_images = 1000 and"),
        ({"finalist_images": 3000, "judged_images": 3001}, "finalist_images = 3000, but is 3001"),
        ({"finalist_images": 3000, "judged_images": 999}, "finalist_images = 3000, but is 999"),
    ],
    ids=str,
)
def test_numbers_of_images_that_do_not_contain_each_other_are_one_line(changes, words):
    with pytest.raises(InputError, match=f"^--set: .*{words}") as told:
        TrainConfig.from_flat({**KINDS, **changes}, dict.fromkeys(changes, "--set"))
    assert "\n" not in str(told.value) and len(str(told.value)) < 300


def test_no_two_options_of_a_run_share_a_name():
    def check(chosen):
        every = [*registry.KINDS, *own_options()]
        for kind, name in chosen.items():
            every += registry.options(kind, name)
        assert len(every) == len(set(every))

    check_each(check, COMBINATIONS)


def test_the_training_radius_is_a_share_of_the_evaluated_one():
    config = TrainConfig.from_flat({**KINDS, "eval_epsilon": 0.2, "epsilon_ratio": 1.5})
    assert config.train_epsilon == pytest.approx(0.3)


def test_a_run_cannot_be_changed_after_it_was_checked():
    config = TrainConfig.from_flat(KINDS)
    with pytest.raises(FrozenInstanceError):
        config.lr = 1.0
    with pytest.raises(FrozenInstanceError):
        config.loss.name = "mse"
    with pytest.raises(TypeError):
        config.loss.options["alpha"] = 1.0
    assert replace(config, seed=1) != config


@pytest.mark.parametrize("kind", registry.KINDS)
def test_a_variant_of_every_kind_must_be_named(kind):
    others = {name: variant for name, variant in KINDS.items() if name != kind}
    with pytest.raises(InputError, match=f"configuration: {kind} must be named, but is not; "):
        TrainConfig.from_flat(others)
    with pytest.raises(InputError, match=f"configuration: {kind} must be named, but is 3; "):
        TrainConfig.from_flat({**others, kind: 3})


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ({"loss": "regmx"}, "regmix"),
        ({"model": "smal_cnn"}, "small_cnn"),
        ({"data": "digit"}, "digits"),
        ({"attack": "fgms"}, "fgsm"),
        ({"alhpa": 1.0}, "alpha"),
        ({"epoch": 3}, "epochs"),
    ],
)
def test_an_unknown_name_is_told_with_its_place_and_the_nearest(wrong, near):
    (name,) = wrong
    with pytest.raises(InputError, match=f"did you mean '{near}'") as told:
        TrainConfig.from_flat({**KINDS, **wrong}, {name: "wamr.yaml, line 7"})
    assert str(told.value).startswith("wamr.yaml, line 7: unknown")
    assert "\n" not in str(told.value)


def test_no_number_of_a_run_may_be_infinite_negative_or_a_truth_value():
    def refused(name, value):
        with pytest.raises(InputError, match=f"^recipe: {name} must") as told:
            TrainConfig.from_flat({**KINDS, name: value}, {name: "recipe"})
        assert repr(value) in str(told.value)

    wrong = (math.nan, math.inf, -math.inf, -1, "nan", "inf", True, "much")
    check_each(refused, product(NUMBERS, wrong))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 2.5),
        ("lr", 0),
        ("momentum", 1),
        ("averaging_decay", 1.0),
        ("eval_epsilon", 0),
        ("eval_epsilon", "256/255"),
        ("true_class_mass", 0),
        ("schedule", "step"),
        ("precision", "fp16"),
        ("initialization", None),
        ("alpha", -1e-9),
    ],
)
def test_a_value_out_of_range_is_refused(name, value):
    with pytest.raises(InputError, match=f"configuration: {name} must"):
        TrainConfig.from_flat({**KINDS, name: value})


@pytest.mark.parametrize("none", [None, "none", "None", "null"])
def test_all_training_images_can_be_asked_for(none):
    assert TrainConfig.from_flat({**KINDS, "train_images": none}).train_images is None


def test_the_task_consists_of_names_that_exist():
    assert {*own_options(), *registry.KINDS} >= TASK


def test_an_option_of_another_loss_is_unknown():
    assert "mse_weight" in TrainConfig.from_flat({**KINDS, "loss": "mse"}).flat()
    with pytest.raises(InputError, match="unknown parameter 'mse_weight'"):
        TrainConfig.from_flat({**KINDS, "mse_weight": 3})


def test_the_numbers_of_a_run_were_found():
    assert {"lr", "seed", "train_images", "eval_epsilon"} <= set(NUMBERS)
    assert not {"schedule", "augment"} & set(NUMBERS)
