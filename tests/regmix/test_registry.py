import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import regmix
from regmix import registry
from regmix.errors import InputError
from regmix.interfaces import Attack, Dataset, Loss, LossInputs, Model, PerturbationRadius
from regmix.ranges import check

PROTOCOLS = {"data": Dataset, "model": Model, "attack": Attack, "loss": Loss}
EVERY = pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind in registry.KINDS for name in registry.names(kind)]
)


def test_every_kind_has_the_variants_that_its_folder_has():
    assert set(registry.names("loss")) >= {"mse", "plain", "regmix"}
    assert set(registry.names("data")) >= {"cifar10", "digits", "image_folder"}
    assert set(registry.names("model")) >= {"resnet18", "small_cnn"}
    assert set(registry.names("attack")) >= {"fgsm", "n_fgsm", "pgd"}
    assert not any(name.startswith("_") for kind in registry.KINDS for name in registry.names(kind))


@EVERY
def test_a_variant_is_the_function_with_its_files_name(kind, name):
    function = registry.find(kind, name)
    assert function.__name__ == name
    assert function.__module__ == registry.module(kind, name).__name__


@EVERY
def test_options_read_from_the_source_are_those_of_the_running_function(kind, name):
    function = registry.find(kind, name)
    hints = get_type_hints(function, include_extras=True)
    running = {
        argument.name: (hints[argument.name], argument.default)
        for argument in inspect.signature(function).parameters.values()
        if argument.kind is argument.KEYWORD_ONLY and argument.default is not argument.empty
    }
    read = registry.options(kind, name)
    assert {key: (option.annotation, option.default) for key, option in read.items()} == running
    assert list(read) == list(running)


@EVERY
def test_every_default_obeys_its_own_rule(kind, name):
    for key, option in registry.options(kind, name).items():
        assert check("", key, option.default, option.annotation) == option.default


@pytest.mark.parametrize("kind", registry.KINDS)
def test_an_unknown_variant_is_told_with_those_there_are(kind):
    with pytest.raises(InputError, match=f"unknown {kind} 'nothing'"):
        registry.options(kind, "nothing")


def test_options_cannot_be_changed():
    with pytest.raises(TypeError):
        registry.options("loss", "regmix")["alpha"] = None


def in_a_process(program):
    root = Path(regmix.__file__).parents[1]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, timeout=120)


@pytest.mark.process
def test_a_configuration_is_checked_without_loading_torch():
    in_a_process(
        "import sys\n"
        "from regmix.config import TrainConfig\n"
        "TrainConfig.from_flat({'data': 'cifar10', 'model': 'resnet18', 'attack': 'fgsm',"
        " 'loss': 'regmix', 'alpha': 2})\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
    )


@pytest.mark.process
def test_what_a_search_needs_of_the_engine_holds_no_torch():
    in_a_process(
        "import sys\n"
        "import regmix.config, regmix.errors, regmix.images, regmix.plugins, regmix.ranges\n"
        "import regmix.registry, regmix.evaluation.results, regmix.evaluation.attack_settings\n"
        "import regmix.training.catastrophic_overfitting, regmix.training.metrics\n"
        "assert 'torch' not in sys.modules\n"
    )


@EVERY
def test_every_variant_of_the_tool_keeps_its_kinds_protocol(kind, name):
    """What `signature` read is what Python itself says about the function and its companion."""
    described = inspect.signature(PROTOCOLS[kind].__call__).parameters.values()
    demanded = [(one.name, one.kind) for one in described if one.name != "self"]
    running = inspect.signature(registry.find(kind, name)).parameters.values()
    required = [(one.name, one.kind) for one in running if one.default is one.empty]
    assert required == demanded
    options = registry.options(kind, name)
    assert [one.name for one in running if one.default is not one.empty] == list(options)
    defaults = {key: option.default for key, option in options.items()}
    if kind == "loss":
        assert isinstance(registry.companion(kind, name)(**defaults), LossInputs)
    if kind == "attack":
        given = registry.companion(kind, name)(epsilon=0.1, **defaults)
        assert isinstance(given, PerturbationRadius)


def test_chosen_options_are_bound_and_the_others_keep_their_default():
    free, bound = (registry.find("model", "small_cnn", o) for o in ({}, {"width": 3}))
    assert free is registry.module("model", "small_cnn").small_cnn
    assert [model(1, 10)[0].out_channels for model in (free, bound)] == [16, 3]
