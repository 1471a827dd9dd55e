import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import regmix
from regmix import registry
from regmix.errors import InputError
from regmix.ranges import check

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


def test_a_configuration_is_checked_without_loading_torch():
    program = (
        "import sys\n"
        "from regmix.config import TrainConfig\n"
        "TrainConfig.from_flat({'data': 'cifar10', 'model': 'resnet18', 'attack': 'fgsm',"
        " 'loss': 'regmix', 'alpha': 2})\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
    )
    root = Path(regmix.__file__).parents[1]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, timeout=60)
